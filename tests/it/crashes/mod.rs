//! The process ends at every moment that there is.
