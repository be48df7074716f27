
(() => {
  'use strict';
  const page = document.documentElement;
  const count = () => { page.dataset.errors = 1 + Number(page.dataset.errors || 0); };
  window.addEventListener('error', count);
  const $ = id => document.getElementById(id);
  const data = JSON.parse($('data').textContent);
  const rows = data.rows;

  // ---- small helpers: everything that is shown goes in as text, never as markup
  const make = (tag, className, ...inside) => {
    const element = document.createElement(tag);
    if (className) element.className = className;
    for (const piece of inside) if (piece !== null && piece !== undefined && piece !== '') element.append(piece);
    return element;
  };
  const button = (text, act, className) => {
    const element = make('button', className, text);
    element.type = 'button';
    element.addEventListener('click', act);
    return element;
  };
  const clock = us => {
    const seconds = us / 1e6;
    return seconds < 3600 ? `${seconds.toFixed(3)} s` : span(us);
  };
  const span = us => {
    let seconds = us / 1e6;
    if (seconds < 60) return `${Number(seconds.toFixed(3))} s`;
    const parts = [];
    for (const [name, size] of [['d', 86400], ['h', 3600], ['min', 60]]) {
      if (seconds >= size) { parts.push(`${Math.floor(seconds / size)} ${name}`); seconds %= size; }
    }
    if (seconds >= 0.001) parts.push(`${Number(seconds.toFixed(3))} s`);
    return parts.join(' ');
  };
  const actor = row => row.lane === null ? 'broker' : data.actors[row.lane];
  const plain = seen => seen.replace(/^([^\s#:]+)#(\d+): /, (_, who, number) => number === '1' ? `At ${who}: ` : `At ${who}, on connection ${number}: `);
  const isPacket = row => row.stroke === 'packet';
  // The words of a broken promise without its rules, which stand in its box.
  const brief = row => row.shape === 'breach' ? row.label.replace(/ \([^()]*MQTT-[^()]*\)$/, '') : row.label;
  const isTurn = row => row.shape === 'fault' || row.shape === 'breach';
  const route = row => row.shape === 'up' ? `${actor(row)} → broker` : row.shape === 'down' ? `broker → ${actor(row)}` : actor(row);
  const firstOf = new Map();
  rows.forEach((row, index) => { if (!firstOf.has(row.seq)) firstOf.set(row.seq, index); });
  const says = row => {
    if (row.stroke === 'beginning') return `${actor(row)} opens a connection`;
    if (row.stroke === 'end') return row.label === 'RST' ? 'the connection is broken off (RST)' : 'the connection is closed (FIN)';
    return row.label;
  };

  // ---- head
  const isLive = data.world === 'live';
  const world = isLive ? 'at a real server' : data.world === 'events' ? 'in a simulated network' : `in a simulated network (${data.world})`;
  const lasted = span(data.elapsed_us) + (isLive ? '' : ' of virtual time');
  $('play').textContent = `MQTT ${data.mqtt} ${world}, seed ${data.seed} · ${rows.length} events in ${lasted}${data.topic_root ? ` · every topic begins with ${data.topic_root}, which is left out here` : ''}`;
  for (const text of data.about) $('about').append(make('p', '', text));
  const rule = key => {
    const [section, words] = data.statements[key] || ['', 'a statement that has no words here'];
    return make('span', 'rule', words, ' ', make('code', '', section ? `[${key}, section ${section}]` : `[${key}]`));
  };
  const passed = data.verdict === 'pass' && !data.violations.length;
  const badge = make('span', `badge ${passed ? 'good' : data.violations.length ? 'bad' : 'none'}`,
    passed ? '✔ pass' : data.violations.length ? `✘ ${data.violations.length === 1 ? 'one thing' : `${data.violations.length} things`} went wrong` : `– ${data.verdict}`);
  $('outcome').append(badge);
  if (passed && data.proves.length) {
    const proven = make('details', '', make('summary', '', `It bears out ${data.proves.length === 1 ? 'a rule' : `${data.proves.length} rules`} of the standard`));
    data.proves.forEach(key => proven.append(rule(key)));
    $('outcome').append(proven);
  } else if (!data.violations.length && data.reason) {
    $('outcome').append(' ', data.reason);
  }

  // ---- what went wrong comes first
  data.violations.forEach((wrong, index) => {
    // What follows the first is often its consequence: told when it is asked for.
    const box = make(index ? 'details' : 'article', 'violation');
    const number = data.violations.length > 1 ? ` (${index + 1} of ${data.violations.length})` : '';
    const heading = make('h2', '', `✘ ${wrong.title[0].toUpperCase()}${wrong.title.slice(1)}${number}`);
    box.append(index ? make('summary', '', heading, make('span', '', plain(wrong.seen))) : heading);
    const seen = make('div', '', make('h3', '', 'What was seen'), make('p', 'said', plain(wrong.seen)));
    if (wrong.excerpt) seen.append(make('pre', '', wrong.excerpt));
    const promised = make('div', '', make('h3', '', 'What was promised'));
    if (wrong.promise) promised.append(make('p', '', wrong.promise));
    if (wrong.statements.length) {
      const rules = make('details', '', make('summary', '', wrong.statements.length === 1 ? 'A rule of the standard stands behind it' : `${wrong.statements.length} rules of the standard stand behind it`));
      wrong.statements.forEach(key => rules.append(rule(key)));
      promised.append(rules);
    }
    box.append(make('div', 'pair', seen, promised));
    if (wrong.steps.length > 1) {
      box.append(make('h3', '', 'How it came about'));
      const chain = make('ol', 'chain');
      // The middle of a long way is folded.
      const folded = [];
      for (const [place, seq] of wrong.steps.entries()) {
        if (wrong.cut && place === wrong.cut.behind) {
          const item = make('li', 'cut');
          item.append(button(`⋮ ${wrong.cut.count} more`, () => { folded.forEach(step => { step.hidden = false; }); item.remove(); }));
          chain.append(item);
        }
        const row = rows[firstOf.get(seq)];
        if (!row) continue;
        const line = button('', () => choose(firstOf.get(seq), true), `${seq === wrong.seq ? 'here' : ''} ${row.shape === 'fault' || row.stroke === 'end' ? 'fault' : ''}`);
        line.append(make('span', 'at', clock(row.at)), make('span', 'who', route(row)), make('span', 'what', says(row), row.remark ? make('span', 'remark', ` — ${row.remark}`) : ''));
        const item = make('li', '', line);
        if (wrong.cut && place >= wrong.cut.behind && place < wrong.cut.behind + wrong.cut.count) {
          item.hidden = true;
          folded.push(item);
        }
        chain.append(item);
      }
      box.append(chain);
    }
    if (wrong.seq !== null && firstOf.has(wrong.seq)) {
      box.append(button('Show it in the diagram', () => choose(firstOf.get(wrong.seq), true), 'jump'));
    }
    if (index < 3) { $('violations').append(box); return; }
    let more = $('more');
    if (!more) {
      more = make('details', '', make('summary', '', `and ${data.violations.length - 3} more`));
      more.id = 'more';
      $('violations').append(more);
    }
    more.append(box);
  });

  // ---- where things stand
  const events = $('events'), sheet = $('rows'), names = $('names');
  const order = [...data.actors.keys()].slice(0, data.left).concat([null], [...data.actors.keys()].slice(data.left));
  const ROWS = [10, 38, 54, 88], GAPS = [1, 1, 1.35, 1.8], PAUSE = 22, LONG = 1e6;
  let zoom = 1, lanes = new Map(), tops = [], total = 0, width = 0;
  // Which lanes have a connection above and below each row.
  const open = [];
  {
    const now = data.actors.map(() => new Set());
    for (const row of rows) {
      const before = now.map(set => set.size > 0);
      if (row.change && row.lane !== null) {
        const [connection, opens] = row.change;
        if (opens) now[row.lane].add(connection); else now[row.lane].delete(connection);
      }
      open.push([before, now.map(set => set.size > 0)]);
    }
  }
  const pauseBefore = index => index > 0 ? rows[index].at - rows[index - 1].at : 0;
  const layout = () => {
    const narrow = events.clientWidth < 560;
    const left = narrow ? 56 : 96, side = narrow ? 30 : 70;
    const least = (narrow ? 110 : 150) * GAPS[zoom];
    const gaps = Math.max(1, order.length - 1);
    const gap = Math.min(Math.max(least, (events.clientWidth - left - 2 * side) / gaps), 460 * GAPS[zoom]);
    lanes = new Map(order.map((lane, index) => [lane, left + side + index * gap]));
    width = Math.max(events.clientWidth, left + 2 * side + gaps * gap);
    tops = []; total = 6;
    rows.forEach((row, index) => {
      if (pauseBefore(index) >= LONG) total += PAUSE;
      tops.push(total);
      total += ROWS[zoom];
    });
    sheet.style.height = `${total + 10}px`;
    sheet.style.width = `${width}px`;
    events.className = `zoom${zoom}`;
    names.replaceChildren(...order.map(lane => {
      const name = make('b', lane === null ? '' : `c${lane % 5}`, lane === null ? 'broker' : data.actors[lane]);
      if (lane !== null && data.names[lane].length) name.append(make('span', 'faint', ` as ${data.names[lane].join(', ')}`));
      name.style.left = `${lanes.get(lane)}px`;
      return name;
    }));
    // Once the width is known the scroll bar may have taken some of it.
    drawn.clear(); sheet.replaceChildren();
    paint();
  };

  // ---- rows: only those that can be seen exist
  const drawn = new Map();
  const place = (element, left, size) => { element.style.left = `${left}px`; element.style.width = `${Math.max(size, 10)}px`; return element; };
  const put = index => {
    const row = rows[index];
    const element = make('div', `row ${row.shape}`);
    element.id = `e${index}`;
    element.setAttribute('role', 'option');
    element.setAttribute('aria-label', `${clock(row.at)}, ${route(row)}: ${says(row)}`);
    element.setAttribute('aria-setsize', rows.length);
    element.setAttribute('aria-posinset', index + 1);
    element.style.top = `${tops[index]}px`;
    element.style.height = `${ROWS[zoom]}px`;
    if (index === 0 || rows[index - 1].at !== row.at) element.append(make('span', 'at', clock(row.at)));
    const [before, after] = open[index];
    order.forEach(lane => {
      const line = make('i', 'lane');
      if (lane === null) line.classList.add('broker');
      else if (before[lane] && after[lane]) line.classList.add('open');
      else if (!before[lane] && after[lane]) line.classList.add('open', 'edge');
      else if (before[lane] && !after[lane]) line.classList.add('open', 'last');
      line.style.left = `${lanes.get(lane)}px`;
      element.append(line);
    });
    const own = lanes.get(row.lane), broker = lanes.get(null);
    if (row.shape === 'up' || row.shape === 'down') {
      const left = Math.min(own, broker), right = Math.max(own, broker);
      const toRight = (row.shape === 'up') === (own < broker);
      const short = row.head === 'lost' ? (right - left) * 0.18 : row.head === 'stuck' ? (right - left) * 0.25 : 0;
      const arrow = make('b', `arrow ${row.stroke} ${row.head} ${toRight ? 'right' : 'left'} ${isPacket(row) ? `c${row.lane % 5}` : ''}`);
      place(arrow, left + 3 + (toRight ? 0 : short), right - left - 6 - short);
      const label = make('span', 'label');
      const words = row.label.split(' ');
      label.append(isPacket(row) ? make('b', '', words[0]) : words[0], words.length > 1 ? ` ${words.slice(1).join(' ')}` : '');
      label.title = row.label;
      element.append(arrow, place(label, left + 10, right - left - 18));
    } else {
      const sign = { fault: '⚡', told: '●', turn: '○', breach: '✘' }[row.shape];
      const note = make('span', 'note', `${sign} ${brief(row)}`);
      note.title = row.label;
      const toRight = own < width * 0.55;
      if (toRight) { note.style.left = `${own + 9}px`; note.style.maxWidth = `${width - own - 16}px`; }
      else { note.style.right = `${width - own + 9}px`; note.style.maxWidth = `${own - 60}px`; }
      element.append(note);
    }
    mark(element, index);
    return element;
  };
  const rest = index => {
    const element = make('div', 'row pause', make('span', '', `⋮ ${span(pauseBefore(index))} pass`));
    element.setAttribute('role', 'presentation');
    element.style.top = `${tops[index] - PAUSE}px`;
    element.style.height = `${PAUSE}px`;
    order.forEach(lane => {
      const line = make('i', `lane${lane === null ? ' broker' : open[index][0][lane] ? ' open' : ''}`);
      line.style.left = `${lanes.get(lane)}px`;
      element.append(line);
    });
    return element;
  };
  const mark = (element, index) => {
    element.classList.toggle('chosen', index === chosen);
    element.setAttribute('aria-selected', index === chosen);
    element.classList.toggle('pale', found !== null && !found.has(index));
  };
  const at = top => {
    let low = 0, high = rows.length;
    while (low < high) { const middle = (low + high) >> 1; if (tops[middle] <= top) low = middle + 1; else high = middle; }
    return Math.max(0, low - 1);
  };
  const paint = () => {
    if (!rows.length) return;
    const first = Math.max(0, at(events.scrollTop) - 4);
    const last = Math.min(rows.length - 1, at(events.scrollTop + events.clientHeight) + 4);
    for (const [index, elements] of drawn) {
      if (index < first || index > last) { elements.forEach(element => element.remove()); drawn.delete(index); }
    }
    for (let index = first; index <= last; index += 1) {
      if (drawn.has(index)) continue;
      const elements = [put(index)];
      if (pauseBefore(index) >= LONG) elements.push(rest(index));
      sheet.append(...elements);
      drawn.set(index, elements);
    }
    names.scrollLeft = events.scrollLeft;
  };
  const remark = () => drawn.forEach((elements, index) => mark(elements[0], index));
  let waiting = false;
  events.addEventListener('scroll', () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; paint(); });
  }, { passive: true });
  sheet.addEventListener('click', event => {
    const row = event.target.closest('.row');
    if (row && row.id) choose(Number(row.id.slice(1)), false);
  });

  // ---- the strip above the slider
  const strip = () => {
    const canvas = $('strip'), ratio = window.devicePixelRatio || 1;
    const size = canvas.clientWidth;
    canvas.width = size * ratio; canvas.height = 16 * ratio;
    const pen = canvas.getContext('2d');
    if (!pen || !rows.length) return;
    pen.scale(ratio, ratio);
    const colour = name => getComputedStyle(page).getPropertyValue(name);
    const x = index => 8 + (rows.length > 1 ? index / (rows.length - 1) : 0) * (size - 16);
    const plain = colour('--line'), bad = colour('--bad'), told = colour('--told');
    rows.forEach((row, index) => {
      pen.fillStyle = isTurn(row) ? bad : row.shape === 'told' ? told : plain;
      const high = row.shape === 'breach' ? 16 : row.shape === 'fault' ? 12 : row.stroke === 'packet' ? 7 : 4;
      pen.fillRect(x(index) - (isTurn(row) ? 1 : .5), 16 - high, isTurn(row) ? 2.5 : 1, high);
    });
  };

  // ---- the chosen event
  let chosen = -1, found = null;
  const choose = (index, reveal) => {
    if (!rows.length) return;
    index = Math.max(0, Math.min(rows.length - 1, index));
    const isNew = index !== chosen;
    chosen = index;
    const row = rows[index];
    if (reveal !== null) document.body.classList.add('sheet');
    centre(false);
    paint(); remark();
    events.setAttribute('aria-activedescendant', `e${index}`);
    $('time').value = index;
    $('time').setAttribute('aria-valuetext', `${clock(row.at)}, event ${index + 1} of ${rows.length}`);
    $('now').textContent = `${clock(row.at)} · ${index + 1} of ${rows.length}`;
    page.dataset.chosen = row.seq;
    if (isNew) { explain(row, index); sessions(row, index); }
    if (reveal !== null) {
      history.replaceState(null, '', `#e=${row.seq}`);
      if (reveal) { $('diagram').scrollIntoView({ block: 'start' }); events.focus({ preventScroll: true }); }
    }
  };
  const centre = always => {
    const height = events.clientHeight, top = tops[chosen];
    if (always || top < events.scrollTop + 20 || top + ROWS[zoom] > events.scrollTop + height - 20) events.scrollTop = top - height / 2;
  };
  const jump = (seq, text) => button(text, () => choose(firstOf.get(seq), true), 'link');

  const explain = (row, index) => {
    const box = $('event');
    box.replaceChildren();
    const title = row.kind && row.shape !== 'breach' ? row.kind : { fault: 'A fault', turn: 'A note of the simulator', told: 'To its application', breach: 'A broken promise', up: 'Connection', down: 'Connection' }[row.shape];
    box.append(make('h2', '', title));
    const connection = row.connection ? `, connection ${row.connection} of ${actor(row)}` : '';
    box.append(make('p', 'where', `${route(row)} at ${clock(row.at)}${connection} · #${row.seq}`));
    if (row.kind && data.packets[row.kind] && row.shape !== 'breach') box.append(make('p', 'meaning', row.means || data.packets[row.kind]));
    else box.append(make('p', 'meaning', says(row)));
    if (row.head === 'lost') box.append(make('p', 'bad', '✕ It did not arrive: the connection was cut before all of it had passed.'));
    if (row.head === 'stuck') box.append(make('p', 'bad', '··· It waits: the network does not pass it on.'));
    if (row.malformed) box.append(make('p', 'bad', `Malformed: ${row.malformed}`));
    for (const wrong of data.violations) {
      if (wrong.seq === row.seq) box.append(make('p', 'bad', `✘ ${wrong.title}: ${plain(wrong.seen)}`));
    }
    const because = make('div', 'because');
    const link = (before, seq, text) => {
      const other = rows[firstOf.get(seq)];
      if (other) because.append(make('div', '', before, jump(seq, text(other))));
    };
    const packet = other => `${other.kind || says(other)} of ${clock(other.at)} (${route(other)})`;
    const cause = row.cause || {};
    if (cause.step) because.append(make('div', '', `Line ${cause.line} of the script: `, make('code', '', cause.step)));
    if (cause.answers !== undefined) link(row.kind === 'PUBLISH' ? 'It passes on ' : 'It answers ', cause.answers, packet);
    if (cause.fault !== undefined) link('Because of ', cause.fault, says);
    const answered = row.shape === 'breach' ? undefined : rows.find(other => other.cause && other.cause.answers === row.seq && other !== row);
    if (answered) link('What follows: ', answered.seq, packet);
    if (because.childNodes.length) box.append(because);
    if (row.fields && row.shape !== 'breach') {
      fields(box, row);
      touched(box, row);
    }
  };

  const fields = (box, row) => {
    const bytes = make('div', 'bytes');
    const cells = (row.hex.match(/../g) || []).map((byte, position) => {
      const cell = make('span', '', byte);
      cell.title = `byte ${position}`;
      bytes.append(cell);
      return cell;
    });
    if (row.more) bytes.append(make('span', 'faint', `… ${row.more} more`));
    const table = make('table', 'fields');
    let group = '', lit = [];
    const light = (field, line) => {
      lit.forEach(element => element.classList.remove('on'));
      lit = cells.slice(field.from, field.from + field.size).concat(line);
      lit.forEach(element => element.classList.add('on'));
    };
    row.fields.forEach(field => {
      if (field.group !== group) {
        group = field.group;
        const head = make('th', '', group);
        head.colSpan = 2;
        table.append(make('tr', '', head));
      }
      const hint = data.fields[field.name] ? make('span', 'hint', data.fields[field.name]) : null;
      const line = make('tr', 'field', make('td', '', field.name, hint), make('td', 'mono', field.flags ? '' : field.value));
      line.tabIndex = 0;
      const show = () => light(field, line);
      line.addEventListener('click', show);
      line.addEventListener('focus', show);
      line.addEventListener('mouseenter', show);
      cells.slice(field.from, field.from + field.size).forEach(cell => {
        cell.addEventListener('click', () => { show(); line.scrollIntoView({ block: 'nearest' }); });
        cell.addEventListener('mouseenter', show);
      });
      table.append(line);
      for (const [name, mask, value] of field.flags || []) {
        if (name === 'Reserved' && value === 0) continue;
        const bits = mask.toString(2).padStart(8, '0').replace(/0/g, '·').replace(/1/g, '▪');
        const hint = data.fields[name] ? make('span', 'hint', data.fields[name]) : null;
        const part = make('tr', 'field', make('td', 'flag', name, hint), make('td', 'mono', `${value} `, make('span', 'faint', bits)));
        part.addEventListener('mouseenter', () => light(field, part));
        part.addEventListener('click', () => light(field, part));
        table.append(part);
      }
    });
    box.append(make('h3', '', `Its ${cells.length + (row.more || 0)} bytes`), bytes, make('h3', '', 'Its fields'), table);
  };

  const touched = (box, row) => {
    if (!row.touches) return;
    box.append(make('h3', '', 'Rules that it touches'));
    const list = make('ul', 'rules');
    for (const [field, key] of row.touches) {
      const known = data.statements[key];
      if (known) list.append(make('li', '', field ? make('b', '', `${field}: `) : null, known[1], ' ', make('code', '', `${key}, section ${known[0]}`)));
    }
    box.append(list);
  };

  // ---- sessions at that moment
  const stateAt = (session, index) => {
    let low = 0, high = session.changes.length;
    while (low < high) { const middle = (low + high) >> 1; if (session.changes[middle][0] <= index) low = middle + 1; else high = middle; }
    return low ? session.changes[low - 1] : null;
  };
  const sessions = (row, index) => {
    const box = $('sessions');
    box.replaceChildren(make('h3', '', `Each session at ${clock(row.at)}`));
    let any = false;
    for (const session of data.sessions) {
      const current = stateAt(session, index);
      if (!current) continue;
      any = true;
      const [since, state] = current;
      const card = make('article', 'session', make('h4', '', session.client, session.client === state.actor ? '' : make('span', 'faint', ` (${state.actor})`)));
      const list = make('dl');
      const before = stateAt(session, since - 1);
      const line = (name, key, empty) => {
        const value = state[key];
        const lines = Array.isArray(value) ? value : value ? [value] : [];
        if (!lines.length && !empty) return;
        const old = before ? [].concat(before[1][key] || []) : [];
        const items = lines.map(text => make('li', since === index && !old.includes(text) ? 'new' : '', text));
        list.append(make('dt', '', name), make('dd', '', lines.length ? make('ul', '', ...items) : make('span', 'faint', empty)));
      };
      line('', 'status');
      line('to the broker', 'to_broker', 'nothing in flight');
      line('to the client', 'to_client', 'nothing in flight');
      line('on its way or waiting', 'waiting');
      line('subscriptions', 'subscriptions');
      line('will', 'will');
      if (state.timers.length) {
        const items = state.timers.map(timer => {
          const left = timer.due_us - row.at;
          const item = make('li', left <= 0 ? 'over' : '', left > 0 ? `${timer.name}: ${span(left)} left, at ${clock(timer.due_us)} ${timer.then}` : `${timer.name}: ran out at ${clock(timer.due_us)}, ${timer.then}`);
          return item;
        });
        list.append(make('dt', '', 'clocks'), make('dd', '', make('ul', '', ...items)));
      }
      card.append(list);
      box.append(card);
    }
    if (!any) box.append(make('p', 'faint', 'No client has come in: there is none.'));
    else box.append(make('p', 'faint', 'Pieced together from what the clients have written and read: what the broker has to do stands here, not what it did.'));
  };

  // ---- moving
  let player = 0;
  const stop = () => { clearInterval(player); player = 0; $('go').setAttribute('aria-pressed', 'false'); $('go').textContent = '▶'; };
  const play = () => {
    if (player) { stop(); return; }
    if (chosen === rows.length - 1) choose(0, null);
    $('go').setAttribute('aria-pressed', 'true'); $('go').textContent = '❚❚';
    player = setInterval(() => { if (chosen >= rows.length - 1) stop(); else choose(chosen + 1, null); }, 600);
  };
  const alike = (by, fits) => {
    for (let index = chosen + by; index >= 0 && index < rows.length; index += by) if (fits(rows[index])) { choose(index, false); return; }
  };
  const enlarge = by => {
    const next = Math.max(0, Math.min(ROWS.length - 1, zoom + by));
    if (next === zoom) return;
    zoom = next;
    page.dataset.zoom = zoom;
    layout();
    choose(chosen, null);
    centre(true);
    paint();
  };
  const help = shown => {
    $('legend').hidden = !shown;
    $('help').setAttribute('aria-expanded', shown);
  };
  const search = () => {
    const words = $('words').value.toLowerCase().split(/\s+/).filter(Boolean);
    found = words.length ? new Set() : null;
    if (found) rows.forEach((row, index) => {
      const text = `${route(row)} ${row.label} ${row.kind || ''} ${row.shape}`.toLowerCase();
      if (words.every(word => text.includes(word))) found.add(index);
    });
    $('found').textContent = found ? `${found.size} found` : '';
    remark();
  };
  const nextFound = by => {
    if (!found || !found.size) return;
    const sorted = [...found].sort((a, b) => a - b);
    const next = by > 0 ? sorted.find(index => index > chosen) : sorted.reverse().find(index => index < chosen);
    choose(next === undefined ? sorted[0] : next, false);
  };
  const close = () => { document.body.classList.remove('sheet'); };

  $('time').max = Math.max(0, rows.length - 1);
  $('time').addEventListener('input', event => { stop(); choose(Number(event.target.value), null); });
  $('previous').addEventListener('click', () => { stop(); choose(chosen - 1, null); });
  $('next').addEventListener('click', () => { stop(); choose(chosen + 1, null); });
  $('go').addEventListener('click', play);
  $('in').addEventListener('click', () => enlarge(1));
  $('out').addEventListener('click', () => enlarge(-1));
  $('help').addEventListener('click', () => help($('legend').hidden));
  $('close').addEventListener('click', close);
  $('words').addEventListener('input', search);
  document.addEventListener('keydown', event => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target === $('words')) {
      if (event.key === 'Enter') nextFound(event.shiftKey ? -1 : 1);
      else if (event.key === 'Escape') { $('words').value = ''; search(); events.focus(); }
      return;
    }
    const slides = event.target === $('time');
    const own = chosen >= 0 ? rows[chosen].lane : null;
    const keys = {
      ArrowDown: () => choose(chosen + 1, false), j: () => choose(chosen + 1, false),
      ArrowUp: () => choose(chosen - 1, false), k: () => choose(chosen - 1, false),
      ArrowRight: () => alike(1, row => row.lane === own), ArrowLeft: () => alike(-1, row => row.lane === own),
      Home: () => choose(0, false), End: () => choose(rows.length - 1, false),
      PageDown: () => choose(chosen + 10, false), PageUp: () => choose(chosen - 10, false),
      n: () => alike(1, isTurn), N: () => alike(-1, isTurn),
      '+': () => enlarge(1), '=': () => enlarge(1), '-': () => enlarge(-1),
      '/': () => $('words').focus(), '?': () => help($('legend').hidden),
      Escape: () => { stop(); help(false); close(); if (found) { $('words').value = ''; search(); } },
    };
    if (event.key === ' ' && event.target.tagName !== 'BUTTON' && event.target.tagName !== 'SUMMARY') { event.preventDefault(); play(); return; }
    const act = keys[event.key];
    if (!act || (slides && event.key.startsWith('Arrow'))) return;
    event.preventDefault();
    stop();
    act();
  });
  const follow = () => {
    const asked = /^#e=(\d+)$/.exec(location.hash);
    const index = asked ? firstOf.get(Number(asked[1])) : undefined;
    if (index !== undefined) choose(index, true);
    return index !== undefined;
  };
  window.addEventListener('hashchange', follow);
  let resizing = 0;
  window.addEventListener('resize', () => {
    clearTimeout(resizing);
    resizing = setTimeout(() => { layout(); strip(); choose(chosen, null); }, 60);
  });
  window.matchMedia('(prefers-color-scheme: dark)').addEventListener('change', strip);

  // ---- begin
  for (const id of ['tools', 'diagram', 'details']) $(id).hidden = false;
  $('foot').textContent = `${isLive || !data.script ? data.script : `Play it again: sim run ${data.script}`} · squall ${data.squall} · digest ${data.digest} (${data.hash})`;
  layout();
  strip();
  if (!follow()) {
    const wrong = data.violations.find(one => one.seq !== null && firstOf.has(one.seq));
    choose(wrong ? firstOf.get(wrong.seq) : 0, null);
  }
  page.dataset.ready = rows.length;
})();
