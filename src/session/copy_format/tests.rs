//! COPY data as PostgreSQL 15 writes and reads it.
