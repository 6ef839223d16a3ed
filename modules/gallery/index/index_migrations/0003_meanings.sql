-- What a CLIP sees in pictures, for searches by meaning. Only one encoder's vectors can be compared: those of another
-- one, or of a file that was replaced since, are made anew.
CREATE TABLE encoders (id INTEGER PRIMARY KEY, identity TEXT NOT NULL UNIQUE);
CREATE TABLE meanings (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, -- in the order of writing: searches read only what came since
    picture INTEGER NOT NULL UNIQUE REFERENCES pictures (id) ON DELETE CASCADE,
    encoder INTEGER NOT NULL,
    vector BLOB NOT NULL                   -- of length 1, in 16-bit floats; empty where the picture can't be opened
);
