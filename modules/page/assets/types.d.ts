// What the server answers the page's scripts, for the type checker alone; the models are in modules/page/routes.py,
// modules/api/queue.py, modules/api/get_models.py, modules/page/other_program_routes.py, modules/page/settings_tab.py and modules/page/card_lists.py.

export type Mode = "txt2img" | "img2img" | "extras" | "modelmerger";
export type Kind = "error" | "info";

export interface DownloadRow {
  id: string;
  name: string;
  kind: string;
  state: "waiting" | "running" | "checking" | "paused" | "failed" | "finished";
  size: number;
  received: number;
  speed: number;
  left: number | null;
  cause: string;
  path: string;
}

export interface DownloadList {
  downloads: DownloadRow[];
  tokens: Record<string, boolean>;
  notice: string;
}

export interface OfferedModel {
  id: string;
  title: string;
  text: string;
  licence: string;
  page: string;
  card: string;
  size: number;
  files: string[];
  there: boolean;
}

export interface ModelThere {
  title: string;
  page: string;
  kinds: string[];
  files: { number: number; name: string; size: number; kind: string }[];
}

export interface ProgramRow {
  folder: string;
  kinds: string[];
  cause: string;
  active: boolean;
  by_flag: boolean;
}

export interface ProgramList {
  used: ProgramRow[];
  nearby: ProgramRow[];
}

export interface BatchPlace {
  id: string;
  done: number;
  count: number;
}

export interface RunningJob {
  id: string;
  mode: Mode;
  mine: boolean;
  visible: boolean;
  fraction: number;
  step: number;
  steps: number;
  eta: number | null;
  preview: number;
  images: number;
  several: boolean;
  elapsed: number;
  first: number;
  last: number;
  pictures: number;
  stopping: string;
  batch: BatchPlace | null;
}

export interface WaitingJob {
  id: string;
  mine: boolean;
  visible: boolean;
  position: number;
  prompt: string;
  files: number;
}

export interface EndedJob {
  id: string;
  mode: Mode;
  state: string;
  images: number;
  cause: string | null;
  notices: string[];
}

export interface EngineLine {
  state: string;
  sentence: string;
  details: string;
  checkpoint: string | null;
}

export interface PageSettings {
  refresh: number;
  title: boolean;
  interrupt_after_current: boolean;
  attention: number;
  extra: number;
  delimiters: string;
  move: boolean;
  lightbox: boolean;
  zoomed: boolean;
  live_lightbox: boolean;
  gamepad: number;
  volume: number;
  awake: boolean;
  progressbar: boolean;
}

export interface PageState {
  server: string;
  notices: string[];
  warnings: [number, string][];
  layout: string;
  settings: PageSettings;
  checkpoint: string | null;
  ignored: Record<string, string>;
  engine: EngineLine;
  running: RunningJob | null;
  waiting: WaitingJob[];
  waiting_count: number;
  latest: EndedJob | null;
  recent: EndedJob[];
}

export interface QueueProgress {
  fraction: number;
  step: number;
  steps: number;
  eta: number | null;
  preview: number;
}

export interface QueuePicture {
  number: number;
  kind: string;
  width: number;
  height: number;
}

export interface QueueRow {
  id: string;
  state: "waiting" | "running" | "finished" | "interrupted" | "cancelled" | "failed";
  mode: Mode;
  mine: boolean;
  visible: boolean;
  program: boolean;
  prompt: string;
  pictures: QueuePicture[];
  width: number;
  height: number;
  steps: number;
  wanted: number;
  made: number;
  checkpoint: string | null;
  created: number;
  started: number | null;
  finished: number | null;
  position: number | null;
  cause: string | null;
  notices: string[];
  progress: QueueProgress | null;
}

export interface Queue {
  running: QueueRow | null;
  waiting: QueueRow[];
  waiting_count: number;
  ended: QueueRow[];
  more: boolean;
}

/** A setting as the Settings tab draws it. */
export interface Option {
  key: string;
  label: string;
  hint: string;
  kind: string;
  value: unknown;
  default: unknown;
  choices: string[];
  minimum: number | null;
  maximum: number | null;
  step: number | null;
  needs: string;
  inert: string;
  frozen: boolean;
}

export interface OptionSection {
  section: string;
  title: string;
  options: Option[];
}

/** A style of styles.csv. */
export interface Style {
  name: string;
  prompt: string;
  negative_prompt: string;
  file: string;
}

/** A picture that the server has, and the painting over it: `undefined` while it is newer than the server's. */
export type UnitValues = Record<string, unknown>;

export interface UnitField {
  name: string;
  label: string;
  look:
    | "slider"
    | "checkbox"
    | "radio"
    | "dropdown"
    | "textbox"
    | "picture"
    | "pictures"
    | "words"
    | "checkboxes"
    | "note";
  default: unknown;
  minimum: number | null;
  maximum: number | null;
  step: number | null;
  lines: number;
  choices: string[];
}

export interface ControlSlider {
  name: string;
  value: number;
  min: number;
  max: number;
  step: number;
}

export interface ControlLists {
  types: Record<string, { modules: string[]; models: string[]; module: string; model: string }>;
  modules: { name: string; title: string; sliders: Record<string, ControlSlider> }[];
}

export interface UnitSchema {
  count: number;
  arguments: UnitField[];
  /** Where each unit is a feature of its own: what each is named, and its fields instead of `arguments`. */
  forms?: UnitForm[];
}

export interface UnitForm {
  title: string;
  arguments: UnitField[];
}

export interface Picture {
  id: string;
  width: number;
  height: number;
  paint?: string | null;
  notice?: string;
}

export interface Point {
  x: number;
  y: number;
}

/** OpenPose's: x, y and how sure for each joint, and other parts of persons. */
export interface PoseJson {
  people?: Record<string, number[]>[];
  canvas_width: number;
  canvas_height: number;
}

/** Persons on a canvas, each with a body of 18 joints and what else its JSON has. */
export interface Pose {
  width: number;
  height: number;
  people: { body: (Point | null)[]; more: Record<string, number[]> }[];
}

/** A change of a text field: replace `from` to `to` by `insert`, then select `start` to `end`. */
export interface TextChange {
  from: number;
  to: number;
  insert: string;
  start: number;
  end: number;
}

export type CardKind = "textual inversion" | "hypernetworks" | "checkpoints" | "lora";

/** A model as its card shows it. */
export interface Card {
  name: string;
  title: string;
  description: string;
  prompt_name: string;
  names: string[];
  weight: number;
  activation: string;
  negative: string;
  base: string;
  picture: string;
  metadata: boolean;
  problem: string;
  path: string;
  checkpoint: string;
}

export interface CardLook {
  width: number;
  height: number;
  scale: number;
  tree: boolean;
  tree_width: number;
  separator: string;
}

export interface CardPage {
  total: number;
  all: number;
  unread: number;
  offset: number;
  base: string;
  query: { sort: string; descending: boolean; fitting: boolean };
  folders: string[];
  where: string;
  current: string;
  cards: Card[];
  look: CardLook;
}

/** What the editor of a card shows. */
export interface CardDetails {
  values: Record<string, string> & { "preferred weight": number };
  table: [string, string][];
  tags: [string, number][];
  words: string[];
  metadata: string;
  description: string;
  vaes: string[];
  predictions: string[];
  base: string;
  picture: string;
  problem: string;
}

export interface Prompts {
  prompt: string;
  negative: string;
}

declare global {
  interface Window {
    webui: object;
    localization?: { name: string; texts: Record<string, string> };
    /** Per tab: the names and values of its form, left there by Gradio before these scripts were loaded. */
    webuiForms?: Record<string, [string[], unknown[]]>;
  }
  interface DocumentEventMap {
    "webui-preview": CustomEvent<null>;
    "webui-filled": CustomEvent<Mode>;
    "webui-failed": CustomEvent<Mode>;
    "webui-submitted": CustomEvent<{ mode: Mode; error?: string }>;
    "webui-models": CustomEvent<null>;
    filled: CustomEvent<null>;
  }
}
