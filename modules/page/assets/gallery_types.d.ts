// What /v1/pictures and its neighbours answer, for the type checker alone.

/** A picture of the index. `thumbnail` is an address below the server's root. */
export interface Shot {
  id: string;
  name: string;
  folder: string;
  width: number;
  height: number;
  bytes: number;
  created: string;
  rating: number;
  favourite: boolean;
  tags: string[];
  stack: number;
  stack_key: string;
  thumbnail: string;
  trashed: boolean;
  distance?: number;
}

export interface ShotDetail extends Shot {
  infotext: string;
  prompt: string;
  negative_prompt: string;
  fields: Record<string, string>;
  program: string;
  boards: { id: string; name: string }[];
  path?: string | null;
}

export interface Indexing {
  running: boolean;
  done: number;
  total: number;
}

export interface ShotPage {
  total: number;
  pictures: Shot[];
  cursor: string | null;
  explained: string | null;
  indexing: Indexing;
}

export interface Day {
  day: string;
  count: number;
}

export interface Counted {
  name: string;
  count: number;
  id?: string;
}

export interface Facets {
  folders: Counted[];
  models: Counted[];
  tags: Counted[];
  boards: Counted[];
}

export interface Completion {
  text: string;
  label: string;
  count: number;
  /** Where in the search it goes, from one place up to another. */
  start: number;
  end: number;
}

export interface SavedSearch {
  id: string;
  name: string;
  q: string;
}

export interface PromptEntry {
  id: string;
  prompt: string;
  negative_prompt: string;
  count: number;
  last: string | null;
  favourite: boolean;
  pictures: Shot[];
}

export interface PromptPage {
  total: number;
  prompts: PromptEntry[];
}

export interface Marks {
  rating?: number;
  favourite?: boolean;
  add_tags?: string[];
  remove_tags?: string[];
}

export type Sort = "newest" | "oldest" | "name" | "rating" | "size";

/** What the grid shows, and how. */
export interface Look {
  q: string;
  sort: Sort;
  stack: boolean;
  days: boolean;
}
