//! derivatives
