//! The only floor that knows any protocol: listeners, logins, messages.
