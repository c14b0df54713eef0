-- The upgrade of a hot store of schema version 3 or 2, which have the same tables.

-- Readers remember the terms of campaigns and batches, and which shelves are sealed, and read them again
-- when this number has been raised: by whichever process, of whichever release.
CREATE TRIGGER campaign_terms AFTER UPDATE OF campaign_id, name, handout, shared_code, code_prefix,
    valid_from, expires_at, time_zone, valid_days, issue_from, issue_until, per_user_limit,
    cancel_days, extend_days, paused, metadata, created_at ON campaign
BEGIN
    INSERT INTO setting (name, value) VALUES ('terms_revision', '1')
    ON CONFLICT (name) DO UPDATE SET value = CAST(value AS INTEGER) + 1;
END;
CREATE TRIGGER batch_terms AFTER UPDATE OF campaign, batch_id, paused, created_at ON batch
BEGIN
    INSERT INTO setting (name, value) VALUES ('terms_revision', '1')
    ON CONFLICT (name) DO UPDATE SET value = CAST(value AS INTEGER) + 1;
END;
CREATE TRIGGER day_sealed AFTER UPDATE OF sealed ON day_plan
BEGIN
    INSERT INTO setting (name, value) VALUES ('terms_revision', '1')
    ON CONFLICT (name) DO UPDATE SET value = CAST(value AS INTEGER) + 1;
END;
CREATE TRIGGER day_made_sealed AFTER INSERT ON day_plan WHEN NEW.sealed
BEGIN
    INSERT INTO setting (name, value) VALUES ('terms_revision', '1')
    ON CONFLICT (name) DO UPDATE SET value = CAST(value AS INTEGER) + 1;
END;
