//! Finished coupons: Delta and Parquet on an object store.
