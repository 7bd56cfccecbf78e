-- store.Receive on PostgreSQL: a whole slice in one round trip. Each statement below has a snapshot of its own: what an
-- earlier one locked, the later ones see as it is.

CREATE SEQUENCE chat_numbers;

CREATE TYPE receive_item AS (
  ord            int,
  environment_id uuid,
  channel_id     uuid,
  account_id     text,
  user_id        text,
  user_name      text,
  username       text,
  language       text,
  phone          text,
  email          text,
  kind           text,
  event_key      text,
  message_key    text,
  message_id     text,
  reply_to       text,
  body           text,
  attachments    jsonb,
  provider_at    bigint,
  entry_id       uuid,
  opened_id      uuid,
  new_identity   uuid,
  new_contact    uuid,
  new_chat       uuid
);

CREATE FUNCTION waggle_receive(input jsonb)
RETURNS TABLE (r_ord int, r_outcome text, r_chat uuid, r_seq bigint, r_opened boolean)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  w        receive_item[];
  ids      uuid[]; -- identities
  places   uuid[]; -- chats
  unmoved  bigint := (extract(epoch from clock_timestamp()) * 1000000)::bigint;
  now_us   bigint;
BEGIN
  SELECT unmoved + offset_us INTO now_us FROM clock;

  -- Only what belongs to an active channel is taken in.
  SELECT array_agg(i ORDER BY i.ord) INTO w
  FROM jsonb_populate_recordset(NULL::receive_item, input) i
  JOIN channels ch ON ch.id = i.channel_id AND ch.environment_id = i.environment_id AND ch.state = 'active';

  -- New identities, each with a contact of its own. Whoever was faster keeps his.
  WITH wanted AS (
    SELECT DISTINCT ON (channel_id, user_id) * FROM unnest(w) i
    WHERE NOT EXISTS (SELECT 1 FROM identities d WHERE d.channel_id = i.channel_id AND d.external_id = i.user_id)
    ORDER BY channel_id, user_id, ord
  ), born AS (
    INSERT INTO identities (id, environment_id, channel_id, external_id, contact_id, name, username, language, created_at)
    SELECT new_identity, environment_id, channel_id, user_id, new_contact, user_name, username, language, now_us
    FROM wanted ORDER BY channel_id, user_id
    ON CONFLICT DO NOTHING
    RETURNING id
  )
  INSERT INTO contacts (id, environment_id, name, phone, email, created_at)
  SELECT new_contact, environment_id, user_name, phone, email, now_us
  FROM wanted JOIN born ON born.id = wanted.new_identity;

  -- The global lock order: identity, chat, agent.
  WITH d AS MATERIALIZED (
    SELECT DISTINCT (SELECT id FROM identities WHERE channel_id = i.channel_id AND external_id = i.user_id) AS id FROM unnest(w) i
  )
  SELECT array_agg(id ORDER BY id) INTO ids FROM d;
  PERFORM 1 FROM identities WHERE id = ANY (ids) ORDER BY id FOR NO KEY UPDATE;

  SELECT array_agg(DISTINCT c) INTO places FROM (
    SELECT (SELECT id FROM chats WHERE identity_id = d AND closed_at IS NULL LIMIT 1) AS c FROM unnest(ids) d
    UNION ALL
    SELECT (SELECT chat_id FROM timeline t
            WHERE t.channel_id = i.channel_id AND t.account_id = i.account_id AND t.event_key = i.message_key LIMIT 1)
    FROM unnest(w) i WHERE i.kind = 'edit'
  ) found;
  PERFORM 1 FROM chats WHERE id = ANY (places) ORDER BY id FOR UPDATE;

  RETURN QUERY
  WITH known AS (
    -- An edit of a message we never had is that message.
    SELECT i.*, d.id AS identity, d.contact_id AS contact, t.id AS target, t.chat_id AS target_chat,
           CASE WHEN i.kind = 'edit' AND t.id IS NULL THEN 'message' ELSE i.kind END AS what,
           CASE WHEN i.kind = 'edit' AND t.id IS NULL THEN i.message_key ELSE i.event_key END AS key
    FROM unnest(w) i
    CROSS JOIN LATERAL (
      SELECT id, contact_id FROM identities WHERE channel_id = i.channel_id AND external_id = i.user_id LIMIT 1) d
    LEFT JOIN LATERAL (
      SELECT id, chat_id FROM timeline
      WHERE i.kind = 'edit' AND channel_id = i.channel_id AND account_id = i.account_id AND event_key = i.message_key AND kind = 'message'
      LIMIT 1) t ON true
  ), fresh AS (
    -- Repeats go before a chat is looked for, so that a repeat after a close opens nothing and no number is skipped. The
    -- look-ups are scalar and lateral with LIMIT 1, so that each is one descent of its index whatever the statistics say.
    SELECT k.*, CASE WHEN k.what = 'edit' THEN k.target_chat
                     ELSE (SELECT c.id FROM chats c WHERE c.identity_id = k.identity AND c.closed_at IS NULL LIMIT 1) END AS chat
    FROM known k
    WHERE (SELECT x.id FROM timeline x
           WHERE x.channel_id = k.channel_id AND x.account_id = k.account_id AND x.event_key = k.key LIMIT 1) IS NULL
  ), placed AS (
    SELECT f.*, f.chat IS NULL AS is_new,
           coalesce(f.chat, first_value(f.new_chat) OVER (PARTITION BY f.identity, f.chat IS NULL ORDER BY f.ord)) AS place
    FROM fresh f
  ), numbered AS (
    -- The first number of a new chat is its 'opened' entry's.
    SELECT p.*, row_number() OVER (PARTITION BY p.place ORDER BY p.ord) + p.is_new::int AS n FROM placed p
  ), grouped AS (
    SELECT place, is_new, max(n) AS entries, count(*) FILTER (WHERE what = 'message') AS messages,
           (array_agg(identity))[1] AS identity, (array_agg(contact))[1] AS contact, (array_agg(channel_id))[1] AS channel_id,
           (array_agg(environment_id))[1] AS environment_id, (array_agg(opened_id ORDER BY ord))[1] AS opened_id
    FROM numbered GROUP BY place, is_new
  ), opened AS (
    INSERT INTO chats (id, environment_id, number, channel_id, queue_id, identity_id, contact_id, weight, opened_at, held_reason,
                       last_seq, last_direction, last_message_at, unanswered_since, crm_due_at)
    SELECT g.place, g.environment_id, nextval('chat_numbers'), g.channel_id, ch.queue_id, g.identity, g.contact, ch.weight, now_us,
           CASE WHEN NOT EXISTS (SELECT 1 FROM secret_keys k WHERE k.environment_id = g.environment_id AND k.revoked_at IS NULL
                                 AND (k.expires_at IS NULL OR k.expires_at > now_us)) THEN 'key_expired' END,
           g.entries, 'in', now_us, now_us, unmoved
    FROM grouped g JOIN channels ch ON ch.id = g.channel_id
    WHERE g.is_new
  ), moved AS (
    UPDATE chats c SET
      last_seq         = c.last_seq + g.entries,
      last_direction   = CASE WHEN g.messages > 0 THEN 'in' ELSE c.last_direction END,
      last_message_at  = CASE WHEN g.messages > 0 THEN now_us ELSE c.last_message_at END,
      unanswered_since = CASE WHEN g.messages > 0 THEN coalesce(c.unanswered_since, now_us) ELSE c.unanswered_since END,
      closing_since    = CASE WHEN g.messages > 0 THEN NULL ELSE c.closing_since END,
      agent_due_since  = CASE WHEN g.messages > 0 AND c.agent_id IS NOT NULL AND NOT c.on_hold AND c.closed_at IS NULL
                              THEN coalesce(c.agent_due_since, now_us) ELSE c.agent_due_since END,
      crm_version      = c.crm_version + 1,
      crm_due_at       = coalesce(c.crm_due_at, unmoved)
    FROM grouped g
    WHERE c.id = g.place AND NOT g.is_new
    RETURNING c.id, c.last_seq - g.entries AS base
  ), first_entry AS (
    INSERT INTO timeline (id, environment_id, chat_id, seq, kind, at, author)
    SELECT opened_id, environment_id, place, 1, 'opened', now_us, 'client' FROM grouped WHERE is_new
  ), entries AS (
    INSERT INTO timeline (id, environment_id, chat_id, seq, kind, at, direction, author, text, target_id, reply_to, attachments,
                          state, channel_id, account_id, event_key, external_id, provider_at)
    SELECT n.entry_id, n.environment_id, n.place, coalesce(m.base, 0) + n.n, n.what, now_us,
           CASE WHEN n.what = 'message' THEN 'in' ELSE '' END, 'client', n.body, n.target,
           CASE WHEN n.reply_to IS NOT NULL THEN coalesce(
             (SELECT q.id FROM timeline q WHERE q.chat_id = n.place AND q.external_id = n.reply_to LIMIT 1),
             (SELECT p.message_id FROM parts p WHERE p.chat_id = n.place AND p.external_id = n.reply_to LIMIT 1)) END,
           n.attachments, CASE WHEN n.what = 'message' THEN 'received' ELSE '' END,
           n.channel_id, n.account_id, n.key, CASE WHEN n.what = 'message' THEN n.message_id END, n.provider_at
    FROM numbered n LEFT JOIN moved m ON m.id = n.place
  )
  SELECT i.ord, CASE WHEN n.ord IS NULL THEN 'repeat' ELSE 'stored' END, n.place, coalesce(m.base, 0) + n.n, coalesce(n.is_new, false)
  FROM unnest(w) i LEFT JOIN numbered n ON n.ord = i.ord LEFT JOIN moved m ON m.id = n.place;
END $$;
