// @ts-check
// The page's scripts, as small modules; Gradio's events call them through window.webui.

import { completePage } from "./accessibility.js";
import { showBoxes, watchBoxes } from "./boxes.js";
import { checkpointOfCard, watchCards } from "./cards.js";
import { watchControlNet } from "./controlnet.js";
import { defaultsAnswered, defaultsChosen } from "./defaults.js";
import { listenForDemo } from "./demo.js";
import { watchDetail } from "./detail.js";
import { listenForDrops } from "./drop.js";
import { guardFocus } from "./focus.js";
import { listenForMenus } from "./forever.js";
import { sentPicture, stampSent } from "./gallery_send.js";
import { watchGallery } from "./gallery_tab.js";
import { watchGetModels } from "./get_models.js";
import { watchGuidance } from "./guidance.js";
import { hiresLine } from "./hires.js";
import * as jobs from "./jobs.js";
import { listen } from "./keys.js";
import { listenForPictures } from "./lightbox.js";
import { guardLists } from "./lists.js";
import { confirmed, translatePage, untranslated } from "./localization.js";
import { remember, restored } from "./memory.js";
import { say } from "./messages.js";
import { watchPromptHistory } from "./prompt_history.js";
import { watchQueue } from "./queue.js";
import { watchResults } from "./result_links.js";
import { chooseScript } from "./scripts.js";
import { selectedPicture, selectionShown } from "./selection.js";
import { watchSettings } from "./settings_pages.js";
import { guardSliders } from "./sliders.js";
import * as slots from "./slots.js";
import { soon } from "./soon.js";
import { editStyles, withoutDividers } from "./styles.js";
import { switchTheme, watchTheme } from "./theme.js";
import { showUnits, watchUnits } from "./units.js";

window.webui = {
  stamp: jobs.stamp,
  submitted: jobs.submitted,
  chosen: jobs.chosen,
  listAgain: jobs.listAgain,
  checkpointOfCard,
  interrupt: jobs.interrupt,
  skip: jobs.skip,
  wanted: jobs.wanted,
  filled: jobs.filled,
  remember,
  soon,
  selectedPicture,
  selectionShown,
  restored,
  say,
  editStyles,
  withoutDividers,
  untranslated,
  confirmed,
  defaultsAnswered,
  defaultsChosen,
  hiresLine,
  chooseScript,
  showUnits,
  showBoxes,
  switchTheme,
  stampWithPictures: slots.stampWithPictures,
  source: slots.source,
  stampExtras: slots.stampExtras,
  sentPicture,
  stampSent,
  arrive: slots.arrive,
  copyPicture: slots.copyPicture,
  pictureSize: slots.pictureSize,
  scaleLine: slots.scaleLine,
};

completePage();
watchTheme();
watchControlNet();
watchDetail();
watchGuidance();
watchUnits();
watchBoxes();
guardFocus();
guardLists();
guardSliders();
translatePage();
listen({
  settings: jobs.settings,
  // The one of the tab that is open.
  generate: () =>
    jobs.MODES.map((mode) => document.getElementById(`${mode}_generate`))
      .find((button) => button?.offsetParent)
      ?.click(),
  skip: jobs.skip,
  interrupt: jobs.interrupt,
  busy: jobs.busy,
});
document.addEventListener("visibilitychange", () => document.hidden || jobs.poll());
window.addEventListener("online", jobs.poll);
window.addEventListener("pageshow", jobs.poll);
watchSettings();
watchQueue();
watchGetModels();
watchCards();
watchGallery();
watchPromptHistory();
watchResults();
listenForDemo();
listenForDrops();
listenForMenus(jobs.idle);
listenForPictures(jobs.settings);
restored();
jobs.poll();
