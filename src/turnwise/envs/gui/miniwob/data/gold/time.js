// Pages whose clock matters: the page's own, which only the agent's turns move.

gold["button-delay"] = () => {
  if (!buttonsPushed.length) return click(named("button", "ONE"));
  const left = 1000 * timeDelay - (new Date().getTime() - currentTime);
  return left > 0 ? wait(Math.max(1, left - 500)) : click(named("button", "TWO"));
};
gold["simon-says"] = () => {
  const draw = drawn();
  const sequence = range(draw(0, 3) + 3).map(() => draw(0, 4) + 1);
  return click(`#button-${sequence[HARNESS.clicks.filter((one) => one.matches("#area button")).length]}`);
};
gold["stock-market"] = (fields) => {
  const price = Number(words("#stock-price").replace("$", ""));
  return one("#stock-price").textContent && price <= Number(fields.target) ? click("#buy") : wait();
};
gold["chase-circle"] = () => hoverAt(centre("#circ"));
gold["moving-items"] = () => {
  const view = { left: 20, right: 140, top: 60, bottom: 200 };
  const circle = all("svg circle").map(centre).find((at) => at.x > view.left && at.x < view.right && at.y > view.top && at.y < view.bottom);
  return circle ? clickAt(circle) : wait();
};
