// Put behind MiniWoB++'s core.js: the episode without its clock, score board, click canvas and START cover.
core.setDataMode(HARNESS.mode);
core.createDisplay = function () {};

// What was clicked so far, for the gold scripts: some pages keep it where nothing can read it.
HARNESS.clicks = [];
HARNESS.releases = 0;
addEventListener("mouseup", function () { HARNESS.releases += 1; }, true);
addEventListener("click", function (event) { HARNESS.clicks.push(event.target); }, true);

// What the page draws before the problem is made.
Math.seedrandom("turnwise");

// Each page calls this when it has loaded.
core.startEpisode = function () {
  document.querySelectorAll("script").forEach(function (script) { script.remove(); });
  core.resetRefCode();
  // A number, as the original and BrowserGym seed it; texts such as "1" and "11" would give the same.
  Math.seedrandom(HARNESS.problem);
  genProblem();
  core.clearUserSelection();
  document.body.scrollTop = document.documentElement.scrollTop = 0;
  // What the page draws from now on (an opponent's moves, a generated number) follows the episode's seed.
  Math.seedrandom(HARNESS.problem + "/" + HARNESS.episode);
};

// Only the first end counts, as in the original; the reward is the raw one, which no clock shortens.
core.endEpisode = function (reward, timeProportional, reason) {
  if (WOB_DONE_GLOBAL) return;
  WOB_REWARD_GLOBAL = WOB_RAW_REWARD_GLOBAL = reward;
  WOB_REWARD_REASON = reason || null;
  WOB_DONE_GLOBAL = true;
  WOB_EPISODE_ID++;
};
