//! CDR reading, see helper A.
