// Runs before the first paint, so that neither theme nor language flickers.
(() => {
  const root = document.documentElement;
  try {
    root.dataset.theme = localStorage.getItem("liyuan.theme") || "auto";
    root.lang = localStorage.getItem("liyuan.language") === "en" ? "en" : "zh-Hans";
  } catch {
    root.dataset.theme = "auto"; // storage refused: private mode
  }
})();
