// The inspector's page in a frame of its own; what it tells goes to Python, what Python sets goes to it.
function render({ model, el }) {
  const frame = document.createElement("iframe");
  frame.setAttribute("sandbox", "allow-scripts allow-downloads");
  frame.title = "Inspector";
  frame.style.cssText = `width:100%;height:${model.get("height")}px;border:0;display:block`;
  frame.srcdoc = model.get("page");
  el.append(frame);

  const send = (message) => frame.contentWindow?.postMessage({ source: "workbench-host", ...message }, "*");
  const sendTheme = () => {
    const light = document.body.dataset.jpThemeLight;
    if (light) send({ kind: "theme", theme: light === "false" ? "dark" : "light" });
  };
  const themes = new MutationObserver(sendTheme);
  themes.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light"] });

  function hear({ source, data }) {
    if (source !== frame.contentWindow || data?.source !== "workbench-inspector") return;
    if (data.kind === "ready") {
      sendTheme();
      send({ kind: "votes", votes: model.get("ballots") });
      if (model.get("patch")) send({ kind: "select", patch: model.get("patch") });
      return;
    }
    if (data.kind === "select") model.set("patch", data.patch);
    if (data.kind === "vote") {
      const other = (vote) => vote.patch !== data.vote.patch || vote.rater !== data.vote.rater;
      model.set("ballots", [...model.get("ballots").filter(other), data.vote]);
    }
    model.save_changes();
  }
  const select = () => send({ kind: "select", patch: model.get("patch") });
  window.addEventListener("message", hear);
  model.on("change:patch", select);
  return () => {
    window.removeEventListener("message", hear);
    model.off("change:patch", select);
    themes.disconnect();
  };
}

export default { render };
