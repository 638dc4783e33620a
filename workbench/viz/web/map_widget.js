// A map's page in a frame of its own; what it asks and tells goes to Python, what Python answers goes to it.
function render({ model, el }) {
  const frame = document.createElement("iframe");
  frame.setAttribute("sandbox", "allow-scripts allow-downloads");
  frame.title = model.get("title");
  frame.style.cssText = `width:100%;height:${model.get("height")}px;border:0;display:block`;
  frame.srcdoc = model.get("page");
  el.append(frame);

  const send = (message) => frame.contentWindow?.postMessage({ source: "workbench-host", ...message }, "*");
  let told = null;
  function hear({ source, data }) {
    if (source !== frame.contentWindow || data?.source !== "workbench-map") return;
    if (data.kind === "ready") {
      for (const kind of model.get("answers")) send({ kind });
      if (model.get("rows")) send({ kind: "selection", rows: model.get("rows") });
    } else if (data.kind === "selection") {
      told = data.rows;
      model.set("rows", data.rows);
      model.save_changes();
    } else model.send(data);
  }
  function answer(message, buffers) {
    const picture = buffers && buffers.length ? { picture: base64(buffers[0]) } : {};
    send({ ...message, ...picture });
  }
  function base64(view) {
    const bytes = new Uint8Array(view.buffer || view, view.byteOffset || 0, view.byteLength);
    let text = "";
    for (let k = 0; k < bytes.length; k += 32768) text += String.fromCharCode(...bytes.subarray(k, k + 32768));
    return btoa(text);
  }
  const select = () => model.get("rows") !== told && send({ kind: "selection", rows: (told = model.get("rows")) });
  window.addEventListener("message", hear);
  model.on("msg:custom", answer);
  model.on("change:rows", select);
  return () => {
    window.removeEventListener("message", hear);
    model.off("msg:custom", answer);
    model.off("change:rows", select);
  };
}

export default { render };
