-- Certificates of a registry's own (PEM): of authorities that are trusted for it, and ours for it with its sealed key.
-- Same as migrations/postgres/0005_registry_tls.sql.

ALTER TABLE registries ADD COLUMN ca TEXT NOT NULL DEFAULT '';
ALTER TABLE registries ADD COLUMN client_certificate TEXT NOT NULL DEFAULT '';
ALTER TABLE registries ADD COLUMN sealed_client_key TEXT;
