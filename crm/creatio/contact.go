package creatio

import (
	"context"
	"slices"
	"strings"

	"github.com/google/uuid"

	"waggle/crm"
)

// FindContact looks the person up by his identity on the channel, then by phone
// and e-mail. Only what is equal after normalising counts, and only a single
// contact is linked.
func (a *Adapter) FindContact(ctx context.Context, c crm.Connection, l crm.Lookup) (crm.Found, error) {
	s := a.session(c)
	contacts, err := s.byIdentity(ctx, l)
	if err == nil && len(contacts) == 0 {
		contacts, err = s.byReach(ctx, l)
	}
	if err != nil {
		return crm.Found{}, crm.AsError(err)
	}
	switch len(contacts) {
	case 0:
		return crm.Found{}, nil
	case 1:
		return crm.Found{Linked: contacts[0]}, nil
	}
	return crm.Found{Candidates: contacts}, nil
}

func (s *session) byIdentity(ctx context.Context, l crm.Lookup) ([]uuid.UUID, error) {
	if l.ChannelID == uuid.Nil || l.ExternalID == "" {
		return nil, nil
	}
	rows, err := s.query(ctx, "ContactIdentity",
		"filter", "Channel/Id eq "+l.ChannelID.String()+" and ChannelIdentity eq "+quoted(l.ExternalID), "select", "ContactId")
	return distinct(rows, "ContactId", func(row) bool { return true }), err
}

// byReach asks the contacts themselves and their communication options.
// SearchNumber is the number's digits, in order or reversed (wire/creatio.md
// §5, UNVERIFIED): both are asked for, and what comes back is compared here.
func (s *session) byReach(ctx context.Context, l crm.Lookup) ([]uuid.UUID, error) {
	phone := digits(l.Phone)
	var own, options []string
	if phone != "" {
		for _, written := range []string{phone, "+" + phone} {
			own = append(own, "MobilePhone eq "+quoted(written), "Phone eq "+quoted(written), "HomePhone eq "+quoted(written))
			options = append(options, "Number eq "+quoted(written))
		}
		options = append(options, "SearchNumber eq "+quoted(phone), "SearchNumber eq "+quoted(backwards(phone)))
	}
	if l.Email != "" {
		own = append(own, "Email eq "+quoted(l.Email))
		options = append(options, "Number eq "+quoted(l.Email))
	}
	if len(own) == 0 {
		return nil, nil
	}
	fits := func(value string) bool {
		isEmail := strings.Contains(value, "@") // whose digits are no phone
		return phone != "" && !isEmail && digits(value) == phone || l.Email != "" && strings.EqualFold(strings.TrimSpace(value), l.Email)
	}
	rows, err := s.query(ctx, "Contact", "filter", strings.Join(own, " or "), "select", "Id,MobilePhone,Phone,HomePhone,Email")
	if err != nil {
		return nil, err
	}
	found := distinct(rows, "Id", func(r row) bool {
		return slices.ContainsFunc([]string{"MobilePhone", "Phone", "HomePhone", "Email"}, func(column string) bool { return fits(r.text(column)) })
	})
	rows, err = s.query(ctx, "ContactCommunication", "filter", strings.Join(options, " or "), "select", "ContactId,Number,NonActual")
	if err != nil {
		return nil, err
	}
	for _, id := range distinct(rows, "ContactId", func(r row) bool { return r["NonActual"] != true && fits(r.text("Number")) }) {
		if !slices.Contains(found, id) {
			found = append(found, id)
		}
	}
	return found, nil
}

// distinct are the ids in a column of the rows that fit, empty ones left out.
func distinct(rows []row, column string, fits func(row) bool) []uuid.UUID {
	var ids []uuid.UUID
	for _, r := range rows {
		id, err := uuid.Parse(r.text(column))
		if err == nil && id != uuid.Nil && fits(r) && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

func digits(number string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, number)
}

func backwards(s string) string {
	b := []byte(s)
	slices.Reverse(b)
	return string(b)
}
