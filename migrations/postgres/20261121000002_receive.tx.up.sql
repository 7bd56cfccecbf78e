-- store.Receive on PostgreSQL: any slice in one round trip (messages of open chats, which most are, need less: see
-- receive_postgres.go). Each statement below has a snapshot of its own: what an earlier one locked, the later ones see as it is.

CREATE SEQUENCE chat_numbers;

-- Room for a message's change of its chat beside the chat, so that no index of chats need hear of it (a HOT update).
ALTER TABLE chats SET (fillfactor = 70);

-- Ids of the messengers are equal or not, and have no order of any language: compared as bytes they cost a third.
ALTER TABLE identities ALTER COLUMN external_id TYPE text COLLATE "C";
ALTER TABLE timeline
  ALTER COLUMN account_id TYPE text COLLATE "C",
  ALTER COLUMN event_key TYPE text COLLATE "C",
  ALTER COLUMN external_id TYPE text COLLATE "C";
ALTER TABLE chats ALTER COLUMN user_id TYPE text COLLATE "C";
ALTER TABLE parts ALTER COLUMN external_id TYPE text COLLATE "C";

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
  album          text,
  reply_to       text,
  body           text,
  attachments    jsonb,
  files          uuid[],
  provider_at    bigint,
  standby        boolean,
  entry_id       uuid,
  opened_id      uuid,
  new_identity   uuid,
  new_contact    uuid,
  new_chat       uuid
);

CREATE FUNCTION waggle_receive(input jsonb)
RETURNS TABLE (r_ord int, r_outcome text, r_chat uuid, r_seq bigint, r_opened boolean, r_agent uuid, r_queue uuid, r_elsewhere boolean)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  items   receive_item[];
  owners  uuid[]; -- the identities of items
  served  uuid[]; -- those of them that have an open chat
  opened  uuid[]; -- chats opened here
  unmoved bigint := (extract(epoch from clock_timestamp()) * 1000000)::bigint;
  now_us  bigint;
BEGIN
  SELECT unmoved + offset_us INTO now_us FROM clock;

  -- Only what belongs to an active channel is taken in.
  SELECT array_agg(f.item), array_agg(f.owner) INTO items, owners FROM (
    SELECT i AS item, d.id AS owner
    FROM jsonb_populate_recordset(NULL::receive_item, input) i
    JOIN channels ch ON ch.id = i.channel_id AND ch.environment_id = i.environment_id AND ch.state = 'active'
    LEFT JOIN identities d ON d.channel_id = i.channel_id AND d.external_id = i.user_id
    ORDER BY i.ord
  ) f;
  IF items IS NULL THEN
    RETURN;
  END IF;

  -- New identities, each with a contact of its own. Whoever was faster keeps his.
  IF array_position(owners, NULL) IS NOT NULL THEN
    WITH wanted AS (
      SELECT DISTINCT ON (channel_id, user_id) * FROM unnest(items) i
      WHERE NOT EXISTS (SELECT 1 FROM identities d WHERE d.channel_id = i.channel_id AND d.external_id = i.user_id)
      ORDER BY channel_id, user_id, ord
    ), born AS (
      INSERT INTO identities (id, environment_id, channel_id, external_id, contact_id, name, username, language, created_at, profile_at)
      SELECT new_identity, environment_id, channel_id, user_id, new_contact, user_name, username, language, now_us,
        CASE WHEN user_name COLLATE "C" = user_id COLLATE "C" THEN 0 END
      FROM wanted ORDER BY channel_id, user_id
      ON CONFLICT DO NOTHING
      RETURNING id
    )
    INSERT INTO contacts (id, environment_id, name, phone, email, created_at)
    SELECT new_contact, environment_id, user_name, phone, email, now_us
    FROM wanted JOIN born ON born.id = wanted.new_identity;

    SELECT array_agg((SELECT id FROM identities WHERE channel_id = i.channel_id AND external_id = i.user_id) ORDER BY i.ord) INTO owners
    FROM unnest(items) i;
  END IF;

  -- The global lock order: thread, identity, contact, chat, agent. What another app is to answer has a thread, and a chat that is opened
  -- below must have the owner that stands when this commits.
  IF EXISTS (SELECT 1 FROM unnest(items) i WHERE i.standby) THEN
    PERFORM 1 FROM threads t WHERE (t.channel_id, t.external_id) IN (SELECT i.channel_id, i.user_id FROM unnest(items) i WHERE i.standby)
    ORDER BY t.channel_id, t.external_id FOR SHARE;
  END IF;
  PERFORM 1 FROM identities WHERE id = ANY (owners) ORDER BY id FOR NO KEY UPDATE;

  -- What a known customer tells of himself is kept where nothing was known.
  UPDATE contacts c
  SET phone = CASE WHEN c.phone = '' THEN told.phone ELSE c.phone END, email = CASE WHEN c.email = '' THEN told.email ELSE c.email END
  FROM (
    SELECT DISTINCT ON (d.contact_id) d.contact_id, i.phone, i.email
    FROM unnest(items) WITH ORDINALITY i JOIN identities d ON d.id = owners[i.ordinality]
    WHERE i.phone <> '' OR i.email <> '' ORDER BY d.contact_id, i.ord
  ) told
  WHERE c.id = told.contact_id AND (c.phone = '' AND told.phone <> '' OR c.email = '' AND told.email <> '');

  SELECT array_agg(c.identity_id) FILTER (WHERE c.closed_at IS NULL) INTO served FROM (
    SELECT identity_id, closed_at FROM chats WHERE id = ANY (ARRAY(
      SELECT id FROM chats WHERE identity_id = ANY (owners) AND closed_at IS NULL
      UNION ALL
      SELECT (SELECT chat_id FROM timeline t
              WHERE t.channel_id = i.channel_id AND t.account_id = i.account_id AND t.event_key = i.message_key LIMIT 1)
      FROM unnest(items) i WHERE i.kind = 'edit'
      UNION ALL
      SELECT (SELECT chat_id FROM timeline t WHERE t.channel_id = i.channel_id AND t.account_id = i.account_id AND t.album = i.album LIMIT 1)
      FROM unnest(items) i WHERE i.album IS NOT NULL
      UNION ALL
      SELECT (SELECT chat_id FROM timeline t
              WHERE t.channel_id = i.channel_id AND t.account_id = i.account_id AND t.event_key = i.event_key AND t.attachments IS NULL LIMIT 1)
      FROM unnest(items) i WHERE i.attachments IS NOT NULL AND i.kind <> 'edit'
    )) ORDER BY id FOR NO KEY UPDATE
  ) c;

  -- A new message of somebody who has no open chat opens one. The look-ups here and below are scalar with LIMIT 1, so that each
  -- is one descent of its index whatever the statistics say.
  IF NOT owners <@ coalesce(served, '{}') THEN
    WITH lonely AS (
      SELECT DISTINCT ON (owners[i.ordinality]) i.*, owners[i.ordinality] AS owner FROM unnest(items) WITH ORDINALITY i
      WHERE (SELECT id FROM chats WHERE identity_id = owners[i.ordinality] AND closed_at IS NULL LIMIT 1) IS NULL
        AND (SELECT id FROM timeline t WHERE t.channel_id = i.channel_id AND t.account_id = i.account_id
             AND t.event_key = coalesce(i.message_key, i.event_key) LIMIT 1) IS NULL
        AND (i.album IS NULL OR (SELECT id FROM timeline t WHERE t.channel_id = i.channel_id AND t.account_id = i.account_id
                                 AND t.album = i.album LIMIT 1) IS NULL)
      ORDER BY owners[i.ordinality], i.ord
    ), born AS (
      INSERT INTO chats (id, environment_id, number, channel_id, queue_id, identity_id, user_id, contact_id, weight, opened_at, held_reason,
                         last_seq, last_message_at, last_message_day, crm_due_at, thread_owner, thread_app, thread_since)
      SELECT l.new_chat, l.environment_id, nextval('chat_numbers'), ch.id, ch.queue_id, d.id, d.external_id, d.contact_id, ch.weight, now_us,
             CASE WHEN NOT EXISTS (SELECT 1 FROM secret_keys k WHERE k.environment_id = l.environment_id AND k.revoked_at IS NULL
                                   AND (k.expires_at IS NULL OR k.expires_at > now_us)) THEN 'key_expired' END,
             1, now_us, now_us - now_us % 86400000000, unmoved, coalesce(t.owner, ''), coalesce(t.app, ''), CASE WHEN t.owner IS NOT NULL THEN now_us END
      FROM lonely l JOIN channels ch ON ch.id = l.channel_id JOIN identities d ON d.id = l.owner
      LEFT JOIN threads t ON t.channel_id = l.channel_id AND t.external_id = l.user_id
    ), entries AS (
      INSERT INTO timeline (id, environment_id, chat_id, seq, kind, at, author)
      SELECT opened_id, environment_id, new_chat, 1, 'opened', now_us, 'client' FROM lonely
    )
    SELECT array_agg(new_chat) INTO opened FROM lonely;
  END IF;

  RETURN QUERY
  WITH known AS (
    -- An edit of a message we never had is that message. Where edits bring no files, those of the message itself, which comes
    -- later, belong to it then; a piece of an album we have belongs to its message.
    SELECT i.*, owners[i.ordinality] AS owner, coalesce(t.target_id, t.id, l.id, a.id) AS target, coalesce(t.chat_id, l.chat_id, a.chat_id) AS target_chat,
           CASE WHEN t.id IS NOT NULL THEN 'edit' WHEN coalesce(l.id, a.id) IS NOT NULL THEN 'addition' ELSE 'message' END AS what,
           CASE WHEN l.id IS NOT NULL THEN i.event_key || '/files' WHEN t.id IS NULL AND i.kind = 'edit' THEN i.message_key ELSE i.event_key END AS key,
           CASE WHEN l.id IS NULL THEN i.body ELSE '' END AS said
    FROM unnest(items) WITH ORDINALITY i
    LEFT JOIN LATERAL (
      SELECT id, target_id, chat_id FROM timeline
      WHERE i.kind = 'edit' AND channel_id = i.channel_id AND account_id = i.account_id AND event_key = i.message_key
      LIMIT 1) t ON true
    LEFT JOIN LATERAL (
      SELECT id, chat_id FROM timeline
      WHERE i.kind <> 'edit' AND i.attachments IS NOT NULL
        AND channel_id = i.channel_id AND account_id = i.account_id AND event_key = i.event_key AND kind = 'message' AND attachments IS NULL
      LIMIT 1) l ON true
    LEFT JOIN LATERAL (
      SELECT id, chat_id FROM timeline
      WHERE i.album IS NOT NULL AND channel_id = i.channel_id AND account_id = i.account_id AND album = i.album
      LIMIT 1) a ON true
  ), placed AS (
    SELECT k.*,
           (SELECT x.id FROM timeline x
            WHERE x.channel_id = k.channel_id AND x.account_id = k.account_id AND x.event_key = k.key LIMIT 1) IS NOT NULL AS repeat,
           coalesce(k.target_chat, (SELECT c.id FROM chats c WHERE c.identity_id = k.owner AND c.closed_at IS NULL LIMIT 1)) AS place
    FROM known k
  ), numbered AS (
    SELECT p.*, (SELECT c.last_seq FROM chats c WHERE c.id = p.place LIMIT 1)
                + row_number() OVER (PARTITION BY p.repeat, p.place ORDER BY p.ord) AS seq
    FROM placed p
  ), entries AS (
    INSERT INTO timeline (id, environment_id, chat_id, seq, kind, at, direction, author, text, target_id, reply_to, attachments,
                          state, channel_id, account_id, event_key, external_id, album, provider_at)
    SELECT n.entry_id, n.environment_id, n.place, n.seq, n.what, now_us,
           CASE WHEN n.what = 'message' THEN 'in' ELSE '' END, 'client', n.said, n.target,
           CASE WHEN n.reply_to IS NOT NULL THEN coalesce(
             (SELECT coalesce(q.target_id, q.id) FROM timeline q WHERE q.chat_id = n.place AND q.external_id = n.reply_to LIMIT 1),
             (SELECT p.message_id FROM parts p WHERE p.chat_id = n.place AND p.external_id = n.reply_to LIMIT 1)) END,
           n.attachments, CASE WHEN n.what = 'message' THEN 'received' ELSE '' END,
           n.channel_id, n.account_id, n.key, n.message_id, CASE WHEN n.what = 'message' THEN n.album END, n.provider_at
    FROM numbered n WHERE NOT n.repeat
  ), fetched AS (
    INSERT INTO files (id, environment_id, chat_id, entry_id, n, channel_id, ref, kind, name, state, created_at, due_at)
    SELECT n.files[a.place], n.environment_id, n.place, n.entry_id, a.place - 1, n.channel_id, a.file ->> 'ref', a.file ->> 'kind', a.file ->> 'name',
           'waiting', now_us, unmoved
    FROM numbered n CROSS JOIN LATERAL jsonb_array_elements(n.attachments) WITH ORDINALITY AS a (file, place)
    WHERE NOT n.repeat AND a.file ->> 'ref' <> ''
  ), moved AS (
    UPDATE chats c SET
      last_seq         = g.seq,
      last_direction   = CASE WHEN g.spoken THEN 'in' ELSE c.last_direction END,
      last_message_at  = CASE WHEN g.spoken THEN now_us ELSE c.last_message_at END,
      last_message_day = CASE WHEN g.spoken THEN now_us - now_us % 86400000000 ELSE c.last_message_day END,
      unanswered_since = CASE WHEN g.spoken THEN coalesce(c.unanswered_since, now_us) ELSE c.unanswered_since END,
      closing_since    = CASE WHEN g.spoken THEN NULL ELSE c.closing_since END,
      agent_due_since  = CASE WHEN g.spoken AND c.agent_id IS NOT NULL AND NOT c.on_hold AND c.closed_at IS NULL
                              THEN coalesce(c.agent_due_since, now_us) ELSE c.agent_due_since END,
      -- Another app leaves him unanswered, since now.
      bot_due_since    = CASE WHEN g.spoken AND c.thread_owner = 'other' AND c.unanswered_since IS NULL AND c.closed_at IS NULL
                              THEN now_us ELSE c.bot_due_since END,
      crm_version      = c.crm_version + 1,
      crm_due_at       = coalesce(c.crm_due_at, unmoved)
    FROM (SELECT place, max(seq) AS seq, bool_or(what = 'message') AS spoken FROM numbered WHERE NOT repeat GROUP BY place) g
    WHERE c.id = g.place
  ), heard AS (
    -- Who writes takes messages again.
    UPDATE identities SET blocked_at = NULL
    WHERE blocked_at IS NOT NULL AND id IN (SELECT owner FROM numbered WHERE NOT repeat AND what = 'message')
  )
  SELECT n.ord, CASE WHEN n.repeat THEN 'repeat' ELSE 'stored' END, n.place, n.seq, coalesce(NOT n.repeat AND n.seq = 2 AND n.place = ANY (opened), false),
         c.agent_id,
         CASE WHEN c.agent_id IS NULL AND c.held_reason IS NULL
              THEN (SELECT q.id FROM queues q WHERE q.id = c.queue_id AND q.rule = 'to_all_agents') END,
         coalesce(c.closed_at IS NULL AND c.thread_owner = 'other', false)
  FROM numbered n LEFT JOIN chats c ON c.id = n.place;
END $$;
