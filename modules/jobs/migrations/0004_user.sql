-- The name of the login that a job came with: where several log in, each sees their own jobs only.
ALTER TABLE jobs ADD COLUMN user TEXT;
