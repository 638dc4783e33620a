// Blind votes: which of two class maps is better, without knowing whose it is.

// Whether the first model stands left. The seed and the rater decide, patch by patch: FNV-1a, then mixed.
function firstIsLeft(seed, rater, id) {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(`${seed}|${rater}|${id}`)) hash = Math.imul(hash ^ byte, 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return ((hash ^ (hash >>> 16)) & 1) === 0;
}

const CHOICES = [["left", "Left is better", "1"], ["tie", "No difference", "2"], ["right", "Right is better", "3"]];

function ballotOf(app) {
  const host = document.getElementById("ballot"), { set, state } = app;
  let since = performance.now();
  const rater = node("input", { value: state.rater, maxLength: 60, ariaLabel: "Rater", autocomplete: "off", spellcheck: false });
  const buttons = CHOICES.map(([choice, text, key]) => {
    const button = node("button", { title: `${text} (${key})`, onclick: () => cast(choice) }, text, node("kbd", { textContent: key }));
    button.dataset.choice = choice;
    return button;
  });
  const tally = node("span", { role: "status" }), give = node("button", { textContent: "Download votes", onclick: download });
  host.append(node("span", { className: "group" }, ...buttons), node("label", {}, "Rater ", rater), tally, give);
  rater.addEventListener("change", () => {
    rater.value = rater.value.trim() || "rater 1";
    app.change({ rater: rater.value });
    app.rebuild();
  });

  const key = (id) => `${state.rater}\n${id}`;

  // A vote is on what is seen: a key that comes before the next patch is drawn counts for neither patch.
  function cast(choice) {
    if (!state.blind || !app.isShown()) return;
    const id = app.patch.meta.id, left = firstIsLeft(set.seed, state.rater, id) ? "A" : "B", right = left === "A" ? "B" : "A";
    const vote = {
      patch: id, rater: state.rater, left, choice, preferred: { left, right, tie: "tie" }[choice],
      at: new Date().toISOString(), seconds: Math.round((performance.now() - since) / 100) / 10,
    };
    state.votes = { ...state.votes, [key(id)]: vote };
    app.save();
    app.tell("vote", { vote });
    if (state.at + 1 < app.order.length) app.go(state.at + 1);
    else app.render();
  }

  function download() {
    const content = JSON.stringify({ format: "workbench-votes", version: 1, comparison: set.comparison, names: set.names, votes: Object.values(state.votes) }, null, 1);
    const link = node("a", { href: URL.createObjectURL(new Blob([content], { type: "application/json" })), download: `votes-${set.comparison}.json` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  function paint() {
    host.hidden = !state.blind;
    if (!state.blind) return;
    const mine = Object.values(state.votes).filter((vote) => vote.rater === state.rater).length;
    const vote = app.patch && state.votes[key(app.patch.meta.id)];
    for (const button of buttons) button.ariaPressed = String(vote?.choice === button.dataset.choice);
    tally.textContent = `${mine} of ${set.patches.length} voted`;
    give.disabled = !Object.keys(state.votes).length;
  }

  return { paint, cast, begin: () => (since = performance.now()), voted: (id) => state.blind && key(id) in state.votes };
}
