//! Field expressions, see helper A.
