//! Image names: `<name>-<jobVersion>-seed:<packageVersion>`.
