//! Every setting: file, environment, flags, SET.
