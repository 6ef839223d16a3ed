-- The index of pictures: a cache of what the files say. Deleted, it is made again.

CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
-- Ids that clients hold are refused by an index that was begun later, instead of naming other pictures there.
INSERT INTO about VALUES ('generation', lower(hex(randomblob(5))));

CREATE TABLE folders (
    id INTEGER PRIMARY KEY,
    path BLOB NOT NULL UNIQUE,             -- as the system writes it
    name TEXT NOT NULL,                    -- as shown: below its root, with "/"
    device INTEGER NOT NULL DEFAULT 0,
    mtime_ns INTEGER NOT NULL DEFAULT 0    -- when its list of files was read last; 0: to be read
);

-- Distinct texts of prompts and negative prompts; `folded` is the text without cases where that differs.
CREATE TABLE texts (id INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, text TEXT NOT NULL, folded TEXT);
CREATE VIRTUAL TABLE words USING fts5(text, content = 'texts', content_rowid = 'id', tokenize = 'trigram');
CREATE TRIGGER texts_in AFTER INSERT ON texts BEGIN
    INSERT INTO words (rowid, text) VALUES (new.id, new.text);
END;
CREATE TRIGGER texts_out AFTER DELETE ON texts BEGIN
    INSERT INTO words (words, rowid, text) VALUES ('delete', old.id, old.text);
END;

-- A prompt with its negative prompt.
CREATE TABLE prompts (
    id INTEGER PRIMARY KEY,
    prompt INTEGER NOT NULL REFERENCES texts (id),
    negative INTEGER NOT NULL REFERENCES texts (id),
    UNIQUE (prompt, negative)
);
CREATE INDEX prompts_by_negative ON prompts (negative);

CREATE TABLE keys (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, folded TEXT NOT NULL);
CREATE TABLE fact_values (
    id INTEGER PRIMARY KEY,
    key INTEGER NOT NULL REFERENCES keys (id),
    text TEXT NOT NULL,
    folded TEXT NOT NULL,
    number REAL,
    UNIQUE (key, text)
);

-- Everything that an infotext says but its seed: ten thousand pictures of one recipe have one row here.
CREATE TABLE recipes (id INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE);
CREATE TABLE facts (
    value INTEGER NOT NULL REFERENCES fact_values (id),
    recipe INTEGER NOT NULL REFERENCES recipes (id) ON DELETE CASCADE,
    PRIMARY KEY (value, recipe)
) WITHOUT ROWID;
CREATE INDEX facts_by_recipe ON facts (recipe);

CREATE TABLE pictures (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    folder INTEGER NOT NULL REFERENCES folders (id),
    name TEXT NOT NULL,
    raw BLOB,                              -- the name as the system writes it, where that is no text
    trash TEXT NOT NULL DEFAULT '',        -- the file's path while it lies in the trash
    trashed REAL NOT NULL DEFAULT 0,       -- when it came there, in seconds since 1970
    state INTEGER NOT NULL,                -- 0 there, 1 perhaps gone, 2 in the trash, 3 can't be read
    mtime_ns INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    inode TEXT NOT NULL,                   -- device and inode, to notice a file that was moved
    created REAL NOT NULL,
    day INTEGER NOT NULL,                  -- 20261130, local
    width INTEGER NOT NULL DEFAULT 0,
    height INTEGER NOT NULL DEFAULT 0,
    program TEXT NOT NULL DEFAULT '',
    recipe INTEGER REFERENCES recipes (id),
    prompts INTEGER REFERENCES prompts (id),
    model INTEGER REFERENCES fact_values (id),
    stack INTEGER NOT NULL DEFAULT 0,
    seed INTEGER,
    content BLOB NOT NULL,                 -- what marks are held by
    owner TEXT,
    UNIQUE (folder, name, trash)
);
CREATE INDEX pictures_newest ON pictures (state, created, id, prompts, recipe, folder, content, owner);
CREATE INDEX pictures_by_folder ON pictures (state, folder, created);
CREATE INDEX pictures_by_name ON pictures (state, name, id);
CREATE INDEX pictures_by_stack ON pictures (state, stack, created);
CREATE INDEX pictures_by_day ON pictures (state, day);
CREATE INDEX pictures_by_model ON pictures (state, model);
CREATE INDEX pictures_by_prompts ON pictures (state, prompts, created);
CREATE INDEX pictures_by_recipe ON pictures (recipe);
CREATE INDEX pictures_by_content ON pictures (content);
CREATE INDEX pictures_by_inode ON pictures (inode);
CREATE INDEX pictures_by_seed ON pictures (seed) WHERE seed IS NOT NULL;

-- How a picture looks: a hash of its shapes and its mean colours, for finding similar ones.
CREATE TABLE looks (
    picture INTEGER PRIMARY KEY REFERENCES pictures (id) ON DELETE CASCADE,
    shapes INTEGER NOT NULL,
    colours BLOB NOT NULL
)
