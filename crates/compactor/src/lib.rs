//! Moves finished coupons from hot to cold.
