(() => {
  'use strict';
  const all = [...document.querySelectorAll('.statement')];
  const words = document.getElementById('words');
  const boxes = [...document.querySelectorAll('.verdicts input')];
  const shown = document.getElementById('shown');

  const filter = () => {
    const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
    const verdicts = new Set(boxes.filter(box => box.checked).map(box => box.value));
    let count = 0;
    for (const statement of all) {
      const fits = verdicts.has(statement.dataset.verdict)
        && wanted.every(word => statement.dataset.words.includes(word));
      statement.hidden = !fits;
      count += fits;
    }
    shown.textContent = `${count} of ${all.length} statements shown`;
  };

  const open = statement => {
    statement.hidden = false;
    statement.open = true;
    statement.querySelector('summary').focus({ preventScroll: true });
    statement.scrollIntoView({ block: 'start' });
  };
  const follow = () => {
    const statement = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (statement && statement.classList.contains('statement')) open(statement);
  };
  const step = (by, fits) => {
    const visible = all.filter(statement => !statement.hidden && fits(statement));
    if (!visible.length) return;
    const current = document.activeElement.closest('.statement');
    const after = visible.findIndex(statement =>
      current && (current.compareDocumentPosition(statement) & Node.DOCUMENT_POSITION_FOLLOWING));
    const at = visible.indexOf(current);
    let next = at >= 0 ? at + by : (after >= 0 ? after : 0);
    next = Math.max(0, Math.min(visible.length - 1, next));
    visible[next].querySelector('summary').focus();
    visible[next].scrollIntoView({ block: 'nearest' });
    return visible[next];
  };

  document.getElementById('filter').addEventListener('submit', event => event.preventDefault());
  words.addEventListener('input', filter);
  boxes.forEach(box => box.addEventListener('change', filter));
  window.addEventListener('hashchange', follow);
  document.addEventListener('keydown', event => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target === words) {
      if (event.key === 'Escape') words.blur();
      return;
    }
    if (event.key === '/') { event.preventDefault(); words.focus(); }
    if (event.key === 'j') step(1, () => true);
    if (event.key === 'k') step(-1, () => true);
    if (event.key === 'n') {
      const next = step(1, statement => statement.dataset.verdict === 'fail');
      if (next) open(next);
    }
  });
  filter();
  follow();
})();
