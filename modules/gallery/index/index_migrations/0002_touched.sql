-- Which rows of pictures were written, in order: searches hold the numbers of all of them in memory and read again
-- what changed, whoever changed it. Picture 0: rows of other tables were deleted, and their ids may name others now.
CREATE TABLE touched (seq INTEGER PRIMARY KEY AUTOINCREMENT, picture INTEGER NOT NULL);
CREATE TRIGGER pictures_in AFTER INSERT ON pictures BEGIN
    INSERT INTO touched (picture) VALUES (new.id);
END;
CREATE TRIGGER pictures_changed AFTER UPDATE ON pictures BEGIN
    INSERT INTO touched (picture) VALUES (new.id);
END;
CREATE TRIGGER pictures_out AFTER DELETE ON pictures BEGIN
    INSERT INTO touched (picture) VALUES (old.id);
END;

-- What only searches used.
DROP INDEX pictures_newest;
DROP INDEX pictures_by_folder;
DROP INDEX pictures_by_stack;
DROP INDEX pictures_by_day;
DROP INDEX pictures_by_model;
DROP INDEX pictures_by_seed;
CREATE INDEX pictures_by_time ON pictures (state, created);
