package store

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/uptrace/bun"
)

// KnownContact is a contact with his identities, each with the kind of its channel.
type KnownContact struct {
	Contact
	Identities []KnownIdentity
}

// KnownIdentity is an identity and its channel's kind.
type KnownIdentity struct {
	Identity `bun:",extend"`
	Kind     string
}

// ContactFilter narrows a list of contacts. Zero values narrow nothing.
type ContactFilter struct {
	Channel uuid.UUID
	Agent   uuid.UUID // only those of this agent's chats
}

func (f ContactFilter) apply(q *bun.SelectQuery) *bun.SelectQuery {
	if f.Channel != uuid.Nil {
		q = q.Where("EXISTS (SELECT 1 FROM identities AS i WHERE i.contact_id = co.id AND i.channel_id = ?)", f.Channel)
	}
	if f.Agent != uuid.Nil {
		q = q.Where("EXISTS (SELECT 1 FROM chats AS c WHERE c.contact_id = co.id AND c.agent_id = ?)", f.Agent)
	}
	return q
}

// Contact reads one contact of an environment, if the filter leaves it.
func (s *Store) Contact(ctx context.Context, environment, id uuid.UUID, f ContactFilter) (*KnownContact, error) {
	co := new(Contact)
	err := f.apply(s.read.NewSelect().Model(co).Where("co.environment_id = ?", environment).Where("co.id = ?", id)).Scan(ctx)
	if err != nil {
		return nil, one(err, "contact "+id.String())
	}
	known, err := s.knownContacts(ctx, environment, []Contact{*co})
	if err != nil {
		return nil, err
	}
	return &known[0], nil
}

// ListContacts returns a page of an environment's contacts by name, and the next cursor.
func (s *Store) ListContacts(ctx context.Context, environment uuid.UUID, f ContactFilter, p Page) ([]KnownContact, string, error) {
	var rows []Contact
	q, err := byName(f.apply(s.read.NewSelect().Model(&rows).Where("co.environment_id = ?", environment)), "co", p)
	if err != nil {
		return nil, "", err
	}
	if err := q.Scan(ctx); err != nil {
		return nil, "", fmt.Errorf("list contacts: %w", err)
	}
	rows, next := cutByName(rows, p, func(c Contact) (string, uuid.UUID) { return c.Name, c.ID })
	known, err := s.knownContacts(ctx, environment, rows)
	return known, next, err
}

func (s *Store) knownContacts(ctx context.Context, environment uuid.UUID, contacts []Contact) ([]KnownContact, error) {
	known := make([]KnownContact, len(contacts))
	if len(contacts) == 0 {
		return known, nil
	}
	at, ids := map[uuid.UUID]*KnownContact{}, make([]uuid.UUID, len(contacts))
	for i, c := range contacts {
		known[i], ids[i] = KnownContact{Contact: c}, c.ID
		at[c.ID] = &known[i]
	}
	var identities []KnownIdentity
	err := s.read.NewSelect().Model(&identities).ColumnExpr("i.*, ch.kind").Join("JOIN channels AS ch ON ch.id = i.channel_id").
		Where("i.environment_id = ?", environment).Where("i.contact_id IN (?)", bun.List(ids)).OrderExpr("i.id").Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the identities of contacts: %w", err)
	}
	for _, i := range identities {
		at[i.ContactID].Identities = append(at[i.ContactID].Identities, i)
	}
	return known, nil
}
