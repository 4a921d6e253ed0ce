// The page begins here: screens, session, frame.

import { openLine } from "./chat/line.js";
import { pending } from "./chat/outbox.js";
import { watchHealth } from "./health.js";
import { onLanguage, t } from "./i18n.js";
import { go, here, match, present, route } from "./router.js";
import { callScreen } from "./screens/call.js";
import { chatScreen } from "./screens/chat.js";
import { conversationsScreen } from "./screens/conversations.js";
import { entryScreen } from "./screens/entry.js";
import { formScreen } from "./screens/form.js";
import { galleryScreen } from "./screens/gallery.js";
import { keysScreen } from "./screens/keys.js";
import { meetScreen } from "./screens/meet.js";
import { onSession, session } from "./session.js";
import { buildShell, markPlace } from "./shell.js";
import { blank, failed, loading, toast } from "./ui/feedback.js";
import { fill, h } from "./dom.js";

route(/^\/(login|register)$/, entryScreen, { open: true, name: "entry" });
route(/^\/$/, galleryScreen, { name: "gallery" });
route(/^\/new$/, formScreen, { name: "form" });
route(/^\/edit\/(\d+)$/, formScreen, { name: "form" });
route(/^\/role\/(\d+)$/, meetScreen, { name: "chat" });
route(/^\/c\/(\d+)$/, chatScreen, { name: "chat" });
route(/^\/call\/(\d+)$/, callScreen, { name: "call" });
route(/^\/conversations$/, conversationsScreen, { name: "conversations" });
route(/^\/keys$/, keysScreen, { name: "keys" });

const lost = {
  name: "lost",
  groups: [],
  show: (page) =>
    void fill(
      page,
      blank(
        t("lost.title"),
        t("lost.text"),
        h("a", { class: "button", href: "#/" }, t("nav.gallery")),
      ),
    ),
};

const root = document.getElementById("app");
let outlet = buildShell(root);
let wanted = ""; // where somebody was going when the login came in between

async function show() {
  const found = match(here()) ?? lost;
  if (!session() && !found.open) {
    wanted = here();
    go("/login", { replace: true });
    return;
  }
  if (session() && found.open) {
    go(wanted || "/", { replace: true });
    wanted = "";
    return;
  }
  document.body.dataset.screen = found.name;
  document.title = t("title");
  markPlace();
  scrollTo(0, 0);
  await present(outlet, { ...found, show: guarded(found.show) });
  if (document.activeElement === document.body) outlet.focus({ preventScroll: true });
}

/** A screen that cannot load says so in its place. */
function guarded(build) {
  return async (page, ...groups) => {
    fill(page, loading());
    try {
      return await build(page, ...groups);
    } catch (error) {
      if (error.name === "AbortError") return undefined;
      if (error.code === undefined) console.error(error);
      failed(page, error, show);
      return undefined;
    }
  };
}

function rebuild() {
  document.title = t("title");
  document.getElementById("skip").textContent = t("skip");
  outlet = buildShell(root);
  show();
}

addEventListener("hashchange", show);
onLanguage(rebuild);
onSession((now, reason) => {
  if (reason === "expired") toast(t("session.expired"), "error");
  if (!now) wanted = reason === "expired" ? here() : "";
  rebuild();
});
document.getElementById("skip").addEventListener("click", (event) => {
  event.preventDefault(); // the hash is the router's
  outlet.focus();
});

watchHealth();
rebuild();
if (session() && pending().length) openLine();
