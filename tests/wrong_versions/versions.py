"""Wrong versions of the loader, each a mistake that somebody could make, and the tests that must see it.

A mistake that no test sees would be let in one day. Whoever changes a line that stands here changes it here
too; whoever finds a new way to lose or double a record adds it.
"""

from __future__ import annotations

from typing import NamedTuple


class WrongVersion(NamedTuple):
    """One replacement in one file. `before` stands there exactly once."""

    name: str
    file: str
    before: str
    after: str
    seen_by: tuple[str, ...]


POLICY = ("tests/unit/test_policy.py",)
LOOP = ("tests/scenario/test_delivery.py",)
RUNGS = ("tests/scenario/test_rungs.py",)
MACHINE = ("tests/property/test_delivery_machine.py",)
LOG = ("tests/unit/test_checkpoint_log.py",)
POISON = ("tests/unit/test_checkpoint_poison.py",)
TORN = ("tests/crash/test_log_tail.py",)
STATES = ("tests/crash/test_crash_states.py::test_no_crash_of_a_load_breaks_a_promise[power_lost]",)
LEDGER = ("tests/unit/test_checkpoint_ledger.py",)
RECORDER = ("tests/unit/test_checkpoint_recorder.py",)
SCAN = ("tests/unit/test_checkpoint_scan.py",)
RECONCILE = ("tests/unit/test_reconcile.py",)
TRANSPORT = ("tests/scenario/test_transport.py",)
TOKENS = ("tests/unit/test_tokens.py",)
TOKEN_MEMORY = ("tests/unit/test_token_memory.py",)
SHARED_CREDITS = ("tests/unit/test_machine_credits.py",)
SHARED_GRANTS = ("tests/unit/test_machine_grants.py",)
RECALL = ("tests/unit/test_recall.py",)
REPLIES = ("tests/unit/test_wire_replies.py",)
GATE = ("tests/unit/test_gate.py",)
LIMIT = ("tests/unit/test_concurrency.py",)
READER = ("tests/unit/test_source_reader.py", "tests/unit/test_source_batches.py")
REPLAY = ("tests/unit/test_source_replay.py",)
KEYS = ("tests/unit/test_keys.py",)
RECURRING = ("tests/scenario/test_recurring.py",)

WRONG_VERSIONS = (
    # --- what may be sent again ---
    WrongVersion(
        "a 503 is sent again",
        "delivery/policy.py",
        "    if reply.status >= 500:\n        return _whole(attempt, _DOUBT,",
        "    if reply.status >= 500:\n        return _whole(attempt, (_Fate.NOT_APPLIED, Remedy.WAIT, None),",
        POLICY,
    ),
    WrongVersion(
        "a lost connection is sent again",
        "delivery/policy.py",
        "    Fault.DISCONNECTED: _DOUBT,",
        "    Fault.DISCONNECTED: (_Fate.NOT_APPLIED, Remedy.WAIT_FOR_SERVICE, None),",
        LOOP,
    ),
    WrongVersion(
        "a call that was not answered in time is sent again",
        "delivery/policy.py",
        "    Fault.NO_ANSWER_IN_TIME: _DOUBT,",
        "    Fault.NO_ANSWER_IN_TIME: (_Fate.NOT_APPLIED, Remedy.WAIT_FOR_SERVICE, None),",
        LOOP,
    ),
    WrongVersion(
        "a fault that nobody knows is sent again",
        "delivery/policy.py",
        "    Fault.UNKNOWN: _DOUBT,",
        "    Fault.UNKNOWN: (_Fate.NOT_APPLIED, Remedy.WAIT_FOR_SERVICE, None),",
        POLICY,
    ),
    WrongVersion(
        "a redirect proves that nothing was applied",
        "delivery/policy.py",
        "(_Fate.IN_DOUBT, None, Stop.CONFIGURATION)",
        "(_Fate.NOT_APPLIED, None, Stop.CONFIGURATION)",
        POLICY,
    ),
    WrongVersion(
        "an answer that cannot be read is sent again",
        "delivery/policy.py",
        '            return _whole(attempt, _DOUBT, f"HTTP {reply.status}, {answer.reason}")',
        '            return _whole(attempt, STATUSES[408], f"HTTP {reply.status}, {answer.reason}")',
        POLICY,
    ),
    WrongVersion(
        "an error inside the service rejects the record",
        "delivery/policy.py",
        "        return ForRecord.IN_DOUBT\n    return facts(item.code).record",
        "        return ForRecord.REJECTED\n    return facts(item.code).record",
        POLICY,
    ),
    WrongVersion(
        "results that name other records are believed",
        "delivery/policy.py",
        "    if any(item.index not in (None, position) for position, item in enumerate(items)):",
        "    if any(item.index == -2 for position, item in enumerate(items)):",
        POLICY,
    ),
    WrongVersion(
        "fewer results than records are believed, as a plain zip would",
        "wire/answers.py",
        "    if len(data) != records:\n        return Unreadable(",
        "    if len(data) > records:\n        return Unreadable(",
        REPLIES,
    ),
    WrongVersion(
        "the same id for two records is believed",
        "wire/answers.py",
        "    if ids and not _sound(ids):\n",
        "    if ids and not all(ids):\n",
        REPLIES,
    ),
    WrongVersion(
        "a call that never reached the service counts as charged in the log and not at the gate",
        "delivery/policy.py",
        "            cause = Cause.UNREACHED if reply.fault in UNCONNECTED else None",
        "            cause = None",
        POLICY,
    ),
    WrongVersion(
        "redirects are followed",
        "client/transport.py",
        "allow_redirects=False",
        "allow_redirects=True",
        TRANSPORT,
    ),
    WrongVersion(
        "the body counts as handed over when its first piece is",
        "client/upload.py",
        "        self.handed_over = True\n        await writer.write(view[last:])",
        "        await writer.write(view[last:])\n        self.handed_over = True",
        TRANSPORT,
    ),
    WrongVersion(
        "a request that is given up may still arrive",
        "client/upload.py",
        "            self._transport.abort()",
        "            self._transport.close()",
        TRANSPORT,
    ),
    WrongVersion(
        "a connection lost before the body was through is in doubt no more, nor one after it",
        "client/faults.py",
        "    (aiohttp.ServerDisconnectedError, Fault.NOT_HANDED_OVER, Fault.DISCONNECTED),",
        "    (aiohttp.ServerDisconnectedError, Fault.NOT_HANDED_OVER, Fault.NOT_HANDED_OVER),",
        TRANSPORT,
    ),
    WrongVersion(
        "the answer is read however large it is",
        "client/transport.py",
        "            if left < 0:",
        "            if left < -(10**12):",
        TRANSPORT,
    ),
    WrongVersion(
        "a connection that has spoken unasked is used again",
        "client/connections.py",
        "protocol.should_close:",
        "False:",
        TRANSPORT,
    ),
    WrongVersion(
        "what waits on an idle connection is not looked at",
        "client/connections.py",
        "return not waiting.poll(0)",
        "return True",
        TRANSPORT,
    ),
    WrongVersion(
        "a success that comes before the body is through is believed",
        "client/transport.py",
        "_require_not_too_early(response.status, upload)",
        "_ = (response.status, upload)",
        TRANSPORT,
    ),
    WrongVersion(
        "every worker refreshes the token",
        "client/token_memory.py",
        "        return latest.token if latest is not None and latest.token.number > number else None",
        "        return None",
        TOKENS,
    ),
    WrongVersion(
        "loads that share an access token each refresh it",
        "client/tokens.py",
        "                if newer := self._held.newer_than(number):",
        "                if newer := None:",
        TOKEN_MEMORY,
    ),
    WrongVersion(
        "a question waits for its access token in its place",
        "delivery/admission.py",
        "    await ready()\n    async with gate.admit() as place:",
        "    async with gate.admit() as place:",
        LOOP,
    ),
    WrongVersion(
        "a token that came with a grant code does not count",
        "machine/grants.py",
        "                self._write([*sorted(known)[1:], now])",
        "                pass",
        SHARED_GRANTS,
    ),
    WrongVersion(
        "tokens are asked for without a limit",
        "client/tokens.py",
        "                if (wait_s := self._grants.take()) <= 0:",
        "                if (wait_s := self._grants.take()) < 1e9:",
        TOKENS,
    ),
    WrongVersion(
        "a token counts from the moment at which it was asked for",
        "machine/grants.py",
        "        self._replace(self._clock())",
        "        self._replace(self._taken or 0.0)",
        SHARED_GRANTS,
    ),
    WrongVersion(
        "credits are counted from what was read a while ago",
        "machine/credits.py",
        "            self._window.put(_minute(os.pread(descriptor, _SLOT.size, _offset(minute)), minute))",
        "            _minute(os.pread(descriptor, _SLOT.size, _offset(minute)), minute)",
        SHARED_CREDITS,
    ),
    WrongVersion(
        "credits are spent without a lock",
        "machine/files.py",
        "        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)",
        "        pass",
        ("tests/unit/test_machine_processes.py",),
    ),
    # --- whose record it is ---
    WrongVersion(
        "a duplicate on a first send is taken as ours",
        "delivery/policy.py",
        "            case ForRecord.DUPLICATE | ForRecord.REJECTED if attempt.in_doubt:",
        "            case ForRecord.DUPLICATE | ForRecord.REJECTED if True:",
        POLICY,
    ),
    WrongVersion(
        "a duplicate after a doubt is somebody else's",
        "delivery/policy.py",
        "            case ForRecord.DUPLICATE | ForRecord.REJECTED if attempt.in_doubt:",
        "            case ForRecord.DUPLICATE | ForRecord.REJECTED if False:",
        LOOP,
    ),
    WrongVersion(
        "a record that was there long before is ours",
        "delivery/reconcile.py",
        "    if at is not None and at < evidence.doubt_since - CLOCK_SLACK_S:",
        "    if at is not None and at < evidence.doubt_since - 10**9:",
        RECONCILE,
    ),
    WrongVersion(
        "whoever created it, it is ours",
        "delivery/reconcile.py",
        "    return record.created_by_id in evidence.own_user_ids",
        "    return True",
        RECONCILE,
    ),
    WrongVersion(
        "one id may belong to two lines",
        "delivery/reconcile.py",
        "    if evidence.taken.get(record.id):\n        return False\n",
        "",
        RECONCILE,
    ),
    WrongVersion(
        "a record under another key is ours",
        "delivery/reconcile.py",
        "    return bool(key) and fold(record.values.get(key_field)) == key",
        "    return bool(key)",
        RECONCILE,
    ),
    WrongVersion(
        "one question is enough to call a record absent",
        "delivery/doubts.py",
        '            await self._keep_quiet(absent, then="asked for")\n'
        "            absent = await self._find(absent, reason)",
        "            pass",
        RUNGS,
    ),
    WrongVersion(
        "a record in doubt is sent again at once",
        "delivery/doubts.py",
        "                await self._gate.rest(self._settings.quiet_period_s)",
        "                await self._gate.rest(0.0)",
        LOOP,
    ),
    WrongVersion(
        "of several records that may be ours the first is taken",
        "delivery/reconcile.py",
        "        elif len(possible) == 1 and",
        "        elif len(possible) >= 1 and",
        RUNGS,
    ),
    WrongVersion(
        "a later record of a series is taken for another line's",
        "delivery/reconcile.py",
        "    siblings = evidence.series and any(",
        "    siblings = False and any(",
        RECURRING,
    ),
    WrongVersion(
        "several answers are believed of a record that does not recur",
        "delivery/deliver.py",
        "verdict = judge(outgoing, reply, series=self._recurs(attempt))",
        "verdict = judge(outgoing, reply, series=True)",
        RECURRING,
    ),
    WrongVersion(
        "a series that is not whole is believed",
        "wire/answers.py",
        "    if not all(item.ok and item.index in (None, 0) for item in answer.items):",
        "    if not answer.items[0].ok:",
        REPLIES,
    ),
    WrongVersion(
        "a recurring record shares its call",
        "delivery/deliver.py",
        "        if len(attempt.lines) < 2 or self._alone is None:",
        "        if self._alone is not None:",
        RECURRING,
    ),
    WrongVersion(
        "a load goes on with other options than it began with",
        "directory.py",
        "        if words != before:",
        "        if before and words == before:",
        ("tests/unit/test_directory_options.py",),
    ),
    WrongVersion(
        "a part of the answer is taken for all of it",
        "wire/replies.py",
        '    if isinstance(info, dict) and info.get("more_records"):',
        '    if isinstance(info, dict) and info.get("no_such_member"):',
        RUNGS,
    ),
    WrongVersion(
        "the key of a held record may settle another line",
        "delivery/doubts.py",
        "            self._shared.update(filter(None,",
        "            set().update(filter(None,",
        RUNGS,
    ),
    WrongVersion(
        "two records with one key may be under way at once",
        "delivery/keys.py",
        "            if key and (key in mine or key in self._open):",
        "            if key and key in mine:",
        (*KEYS, *LOOP),
    ),
    WrongVersion(
        "without a key a record in doubt is sent again",
        "delivery/doubts.py",
        "        if self._settings.rung is Rung.HOLD or self._reader is None:\n"
        "            self.hold(attempt, attempt.lines, reason)\n            return subset(attempt, ())\n",
        "        if self._settings.rung is Rung.HOLD or self._reader is None:\n            return attempt\n",
        LOOP,
    ),
    WrongVersion(
        "the stamp is the same for each line",
        "delivery/stamp.py",
        '        return f"{self._load_id}:{line}"',
        '        return f"{self._load_id}:{line // 100}"',
        RUNGS,
    ),
    # --- what is written, and when ---
    WrongVersion(
        "a window leaves before it is durable",
        "checkpoint/recorder.py",
        "        await self._log.sync(self._record(entry))\n        self._durable_batch",
        "        self._record(entry)\n        self._durable_batch",
        (*RECORDER, *MACHINE),
    ),
    WrongVersion(
        "batches are handed on before their window is written",
        "pipeline.py",
        "                    await self._intend(window)\n",
        "                    self._tasks.start_soon(self._intend, window)\n",
        LOOP,
    ),
    WrongVersion(
        "an attempt is written after it was sent",
        "delivery/deliver.py",
        "self._write_down(attempt, at, place)\n            reply = await self._send(outgoing, place)",
        "reply = await self._send(outgoing, place)\n            self._write_down(attempt, at, place)",
        LOOP,
    ),
    WrongVersion(
        "a resolved record leaves without a new window",
        "delivery/deliver.py",
        "            await self._account.intend_again(attempt)\n",
        "",
        RUNGS,
    ),
    WrongVersion(
        "resolved is not durable when its records may leave",
        "checkpoint/recorder.py",
        "            await self._log.sync(self._record(Resolved(",
        "            await self._log.sync(self._log.synced * 0 + 0 * self._record(Resolved(",
        MACHINE,
    ),
    WrongVersion(
        "the window of a resolved record is not durable when it leaves",
        "checkpoint/recorder.py",
        "            await self._log.sync(self._record(WindowEntry((), again",
        "            await self._log.sync(0 * self._record(WindowEntry((), again",
        MACHINE,
    ),
    WrongVersion(
        "a load is called complete before that is durable",
        "checkpoint/recorder.py",
        "        await self._log.sync(self._record(self.ledger.seal_entry(at=at)))",
        "        self._record(self.ledger.seal_entry(at=at))",
        RECORDER,
    ),
    WrongVersion(
        "a new log's directory is not synced",
        "checkpoint/log.py",
        "                log._sync_names()\n                log._begun = True",
        "                log._begun = True",
        (*LOG, *POISON),
    ),
    WrongVersion(
        "the names of a log that goes on are not synced",
        "checkpoint/log.py",
        "                self._filesystem.remove(side)\n            self._sync_names()\n",
        "                self._filesystem.remove(side)\n",
        POISON,
    ),
    WrongVersion(
        "what a failed sync may have dropped is built upon",
        "checkpoint/log.py",
        "            self._write_again()\n            self._filesystem.sync_data(self._descriptor)\n",
        "            self._filesystem.sync_data(self._descriptor)\n",
        POISON,
    ),
    WrongVersion(
        "a failed sync is tried again",
        "checkpoint/log.py",
        '            self._poison("a sync failed", error)',
        "            await anyio.to_thread.run_sync(self._filesystem.sync_data, self._descriptor)\n"
        "            self._synced = max(self._synced, covered)",
        LOG,
    ),
    WrongVersion(
        "a failed write is tried again",
        "checkpoint/log.py",
        '                self._poison("a write failed", error)',
        "                return self._write(entry)",
        LOG,
    ),
    WrongVersion(
        "a sync covers what was written while it ran",
        "checkpoint/log.py",
        "            self._synced = max(self._synced, covered)",
        "            self._synced = self._end",
        LOG,
    ),
    WrongVersion(
        "what was written but not synced is believed at an opening",
        "checkpoint/log.py",
        "                    filesystem.sync_data(descriptor)\n                except OSError as error:",
        "                    pass\n                except OSError as error:",
        (*LOG, *POISON),
    ),
    WrongVersion(
        "a torn tail is not cut off",
        "checkpoint/log.py",
        "            if self._cut_on_begin:",
        "            if False:",
        STATES,
    ),
    WrongVersion(
        "side files are removed before what they held is durable",
        "checkpoint/log.py",
        "            self._take(opening, survived=self._survived and not side_files)\n"
        "            self._filesystem.sync_data(self._descriptor)\n",
        "            self._take(opening, survived=self._survived and not side_files)\n",
        POISON,
    ),
    WrongVersion(
        "the log is not locked",
        "checkpoint/log.py",
        "            self._filesystem.lock(self._descriptor)",
        "            pass",
        LOG,
    ),
    WrongVersion(
        "a frame counts wherever it stands",
        "checkpoint/entries.py",
        "    return zlib.crc32(body, zlib.crc32(_PLACE.pack(offset, marker,",
        "    return zlib.crc32(body, zlib.crc32(_PLACE.pack(0, marker,",
        SCAN,
    ),
    WrongVersion(
        "damage before the synced offset is taken for a torn tail",
        "checkpoint/scan.py",
        "        if confirmed > bad:",
        "        if confirmed > bad + 10**9:",
        (*SCAN, *LOG, *TORN),
    ),
    # --- what is known at a restart ---
    WrongVersion(
        "the end of the window is off by one",
        "checkpoint/ledger.py",
        "        self.next_line += batch.line_count\n",
        "        self.next_line += batch.line_count - 1\n",
        LEDGER,
    ),
    WrongVersion(
        "what was in flight at a crash was never sent",
        "checkpoint/unsettled.py",
        "        for lines, since in self.land(self.open):",
        "        for lines, since in self.land(self.open)[:0]:",
        LEDGER,
    ),
    WrongVersion(
        "after power loss what shows no attempt was never sent",
        "checkpoint/unsettled.py",
        "        if not survived:\n            self.doubt(",
        "        if False:\n            self.doubt(",
        LEDGER,
    ),
    WrongVersion(
        "a proof that the last attempt was not applied ends the doubt about the one before",
        "checkpoint/ledger.py",
        "        self._unsettled_batch(entry, entry.lines).land(entry.lines, attempt=entry.attempt)",
        "        batch = self._unsettled_batch(entry, entry.lines)\n"
        "        batch.land(entry.lines, attempt=entry.attempt)\n"
        "        batch._clear(entry.lines)",
        (*LEDGER, *MACHINE),
    ),
    WrongVersion(
        "a released record falls back into doubt or out of the count",
        "checkpoint/unsettled.py",
        "            self.doubt(ranges.difference(self.open, self.released), since=self.not_before)",
        "            self.doubt(self.open, since=self.not_before)",
        MACHINE,
    ),
    WrongVersion(
        "a directory whose log is lost is begun anew",
        "directory.py",
        "        if (lost := _lost_log(load_dir)) is not None:\n            raise lost from None\n",
        "",
        ("tests/scenario/test_exit_codes.py",),
    ),
    WrongVersion(
        "tokens that died in mid-load stop it however many calls passed between",
        "delivery/refusals.py",
        "        self._tokens.clear()\n",
        "",
        LOOP,
    ),
    WrongVersion(
        "why a call was not applied is guessed from the words of its reason",
        "checkpoint/entries.py",
        "    return entry.cause or _UNTOLD_CAUSES.get(",
        "    return _UNTOLD_CAUSES.get(",
        LEDGER,
    ),
    WrongVersion(
        "a second outcome overwrites the first",
        "checkpoint/ledger.py",
        "        if batch is not None and (lines == batch.open or ranges.covers(batch.open, lines)):",
        "        if batch is not None:",
        LEDGER,
    ),
    WrongVersion(
        "a load may be sealed with records open",
        "checkpoint/ledger.py",
        "        if self._open_records or entry !=",
        "        if entry !=",
        (*LEDGER, *RECORDER),
    ),
    WrongVersion(
        "the input is not compared before records are sent",
        "source/replay.py",
        "        if crc != span.crc:\n",
        "        if False:\n",
        REPLAY,
    ),
    WrongVersion(
        "an attempt in doubt does not say so when it leaves again",
        "recall.py",
        "        in_doubt=since is not None,",
        "        in_doubt=False,",
        RECALL,
    ),
    WrongVersion(
        "what the CRM finds under a key that we do not see on it counts as absent",
        "delivery/asking.py",
        "        return any(fold(record.values.get(self._asker.key)) not in keys for record in answer)",
        "        return False",
        RUNGS,
    ),
    WrongVersion(
        "a refusal of two batches in flight concerns the load whatever would pass",
        "delivery/refusals.py",
        "        if len(alone) >= SINGLES_MAX and len({batch for batch, _ in alone}) > 1:",
        "        if len(attempt.lines) > 1 and again:",
        LOOP,
    ),
    # --- pace and end ---
    WrongVersion(
        "after a push-back all go on at once",
        "throttle/gate.py",
        "            elif self._state is _State.PROBING or",
        "            elif",
        GATE,
    ),
    WrongVersion(
        "a stop lets calls begin that already waited",
        "throttle/gate.py",
        "        while True:\n            self._refuse_if_closed()\n",
        "        self._refuse_if_closed()\n        while True:\n",
        (*GATE, *LOOP),
    ),
    WrongVersion(
        "each 429 of a round trip halves the limit again",
        "throttle/concurrency.py",
        "        if flight.epoch != self._epoch:\n            self._keep_below(level)",
        "        if False:\n            self._keep_below(level)",
        LIMIT,
    ),
    WrongVersion(
        "a call beside a refused try counts as proof of its level",
        "throttle/concurrency.py",
        "        if flight.first:\n            self._holds(",
        "        if True:\n            self._holds(",
        LIMIT,
    ),
    WrongVersion(
        "a call without an answer gives its credits back",
        "throttle/gate.py",
        "        if not reached:\n",
        "        if True:\n",
        GATE,
    ),
    WrongVersion(
        "a probe that is refused is taken for credits although there are some",
        "throttle/gate.py",
        "        if place.probe and place.credits < CALL_CREDITS_MAX and self._budget.spent_out():",
        "        if place.probe:",
        GATE,
    ),
    WrongVersion(
        "a line is lost where two windows meet",
        "source/batches.py",
        "        self._open(self._first_line + self._line_count, self._stop)\n        return batch",
        "        self._open(self._first_line + self._line_count + 1, self._stop)\n        return batch",
        READER,
    ),
)
