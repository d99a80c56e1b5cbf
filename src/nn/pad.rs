//! Padding other than zeros.
