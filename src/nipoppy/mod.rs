//! nipoppy
