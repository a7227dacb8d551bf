// Pages whose clock matters: the page's own, which only the agent's turns move.

gold["button-delay"] = (fields) => {
  if (!buttonsPushed.length) return click("#subbtn");
  return (new Date().getTime() - currentTime) / 1000 < 0.86 * timeDelay ? wait() : click("#subbtn2");
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
gold["chase-circle"] = () => {
  const circle = centre("#circ");
  return hoverAt(circle);
};
gold["moving-items"] = () => {
  const view = { left: 20, right: 140, top: 60, bottom: 200 };
  const circle = all("svg circle").map(centre).find((at) => at.x > view.left && at.x < view.right && at.y > view.top && at.y < view.bottom);
  return circle ? clickAt(circle) : wait();
};
