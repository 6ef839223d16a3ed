-- What people said about their pictures: no cache, and in no picture's file. By content, so that a picture that was
-- moved or renamed has its marks still, and an index that is made again finds them.

CREATE TABLE marks (
    content BLOB PRIMARY KEY,
    rating INTEGER NOT NULL DEFAULT 0,
    favourite INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX marks_by_rating ON marks (rating) WHERE rating > 0;

-- The key's columns come first: SQLite's check of a file takes other orders for damage.
CREATE TABLE tags (
    folded TEXT NOT NULL,
    content BLOB NOT NULL,
    tag TEXT NOT NULL,
    PRIMARY KEY (folded, content)
) WITHOUT ROWID;
CREATE INDEX tags_by_content ON tags (content);

CREATE TABLE boards (id TEXT PRIMARY KEY, name TEXT NOT NULL, created REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE board_pictures (
    board TEXT NOT NULL REFERENCES boards (id) ON DELETE CASCADE,
    content BLOB NOT NULL,
    PRIMARY KEY (board, content)
) WITHOUT ROWID;
CREATE INDEX boards_by_content ON board_pictures (content);

CREATE TABLE searches (id TEXT PRIMARY KEY, name TEXT NOT NULL, q TEXT NOT NULL, created REAL NOT NULL) WITHOUT ROWID;

-- With their texts: they outlive their pictures.
CREATE TABLE favourite_prompts (
    prompt_digest BLOB NOT NULL,
    negative_digest BLOB NOT NULL,
    prompt TEXT NOT NULL,
    negative TEXT NOT NULL,
    created REAL NOT NULL,
    PRIMARY KEY (prompt_digest, negative_digest)
) WITHOUT ROWID;

-- Whose login made a picture: no file says so.
CREATE TABLE owners (content BLOB PRIMARY KEY, owner TEXT NOT NULL) WITHOUT ROWID
