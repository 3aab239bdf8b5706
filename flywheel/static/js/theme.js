/* Loaded before the first paint, so that a chosen theme never flashes the other one. Nothing else belongs here. */
(() => {
  const root = document.documentElement;
  root.classList.add("js");
  try {
    const theme = localStorage.getItem("theme");
    if (theme === "light" || theme === "dark") root.dataset.theme = theme;
  } catch {
    // Storage is blocked: the system's theme is used.
  }
})();
