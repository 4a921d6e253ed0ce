// The frame around the screens: brand, navigation, health, language, theme, account.

import { call } from "./api.js";
import { fill, h, icon, iconButton, relabel, setIcon } from "./dom.js";
import { language, setLanguage, t } from "./i18n.js";
import { here } from "./router.js";
import { session, setSession } from "./session.js";
import { nextTheme, theme } from "./theme.js";
import { sheet } from "./ui/feedback.js";
import { healthChip } from "./ui/health-chip.js";

const MARK = new URL("../icons/favicon.svg", import.meta.url).pathname;

/** Builds the frame in `root`; returns where screens go. */
export function buildShell(root) {
  const outlet = h("main", { id: "main", tabIndex: -1 });
  fill(root, header(), outlet, tabs());
  markPlace();
  return outlet;
}

function header() {
  return h(
    "header",
    { class: "topbar" },
    h(
      "a",
      { class: "brand", href: "#/" },
      h("img", { src: MARK, alt: "", width: 34, height: 34 }),
      h("span", { class: "brand-name" }, t("brand")),
      h("span", { class: "brand-latin" }, t("brand.other")),
    ),
    session() &&
      h(
        "nav",
        { class: "topnav", "aria-label": t("nav.label") },
        places().map(([path, , text]) => h("a", { href: `#${path}`, data: { place: path } }, text)),
      ),
    h(
      "div",
      { class: "topbar-tools" },
      healthChip(),
      languageButton(),
      themeButton(),
      session() && accountButton(),
    ),
  );
}

/** The same places at the foot of a phone, in reach of the thumb. */
function tabs() {
  if (!session()) return null;
  return h(
    "nav",
    { class: "tabbar", "aria-label": t("nav.label") },
    places().map(([path, name, text]) =>
      h("a", { href: `#${path}`, data: { place: path } }, icon(name), h("span", {}, text)),
    ),
  );
}

function places() {
  return [
    ["/", "mask", t("nav.gallery")],
    ["/new", "plus", t("nav.new")],
    ["/conversations", "talk", t("nav.conversations")],
  ];
}

/** Marks where one is in the navigation. */
export function markPlace() {
  for (const link of document.querySelectorAll("[data-place]")) {
    if (link.dataset.place === here()) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

function languageButton() {
  const other = language() === "en" ? "zh" : "en";
  return h(
    "button",
    {
      type: "button",
      class: "icon-button word",
      lang: other === "en" ? "en" : "zh-Hans",
      "aria-label": t("language.switch"),
      title: t("language.switch"),
      onclick: () => setLanguage(other),
    },
    other === "en" ? "EN" : "中",
  );
}

const THEME_ICONS = { auto: "auto", light: "sun", dark: "moon" };

function themeButton() {
  const button = iconButton(THEME_ICONS[theme()], t(`theme.${theme()}`), {
    onclick: () => {
      const word = nextTheme();
      setIcon(button, THEME_ICONS[word]);
      relabel(button, t(`theme.${word}`));
    },
  });
  return button;
}

function accountButton() {
  const { username } = session().user;
  const open = () => {
    const dialog = sheet(
      username,
      [
        h(
          "a",
          { class: "button wide", href: "#/keys", onclick: () => dialog.close() },
          icon("key"),
          t("keys.title"),
        ),
        h(
          "button",
          {
            type: "button",
            class: "button wide",
            onclick: () => {
              dialog.close();
              logOut();
            },
          },
          icon("leave"),
          t("logout"),
        ),
      ],
      { class: "sheet-small" },
    );
  };
  return h(
    "button",
    {
      type: "button",
      class: "icon-button account",
      "aria-label": t("account", { name: username }),
      title: username,
      onclick: open,
    },
    Array.from(username)[0].toUpperCase(),
  );
}

async function logOut() {
  const { refresh } = session();
  // The server learns of it while the token still counts; the page forgets it either way.
  await call("POST", "/api/auth/logout", { body: { refresh } }).catch(() => {});
  setSession(null);
}
