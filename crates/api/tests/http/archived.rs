//! What lies in cold answers as it did in hot.
