package api

import (
	"context"

	"github.com/google/uuid"

	"waggle/api/gen"
	"waggle/chat"
	"waggle/store"
)

// ListContacts lists the people who have written; an agent sees those of his chats.
func (s *Server) ListContacts(ctx context.Context, r gen.ListContactsRequestObject) (gen.ListContactsResponseObject, error) {
	c, f, err := contactsOf(ctx)
	if err != nil {
		return nil, err
	}
	f.Channel = idOf(r.Params.ChannelID)
	rows, next, err := s.Store.ListContacts(ctx, c.Environment, f, pageOf(r.Params.Limit, r.Params.Cursor))
	if err != nil {
		return nil, listProblem(err, "contacts")
	}
	e, err := s.Store.Environment(ctx, c.Environment)
	if err != nil {
		return nil, storeProblem(err, "environment")
	}
	items := make([]gen.Contact, len(rows))
	for i := range rows {
		items[i] = contactAnswer(&rows[i], e.CRMState)
	}
	return gen.ListContacts200JSONResponse{Items: items, NextCursor: orNull(next)}, nil
}

// GetContact shows one contact.
func (s *Server) GetContact(ctx context.Context, r gen.GetContactRequestObject) (gen.GetContactResponseObject, error) {
	c, f, err := contactsOf(ctx)
	if err != nil {
		return nil, err
	}
	contact, err := s.Store.Contact(ctx, c.Environment, r.ID, f)
	if err != nil {
		return nil, storeProblem(err, "contact")
	}
	e, err := s.Store.Environment(ctx, c.Environment)
	if err != nil {
		return nil, storeProblem(err, "environment")
	}
	return gen.GetContact200JSONResponse(contactAnswer(contact, e.CRMState)), nil
}

// contactsOf is the caller and which contacts he may see. A session of an agent who serves no chats sees none, and while chats
// are switched off no agent does (S1.10).
func contactsOf(ctx context.Context) (caller, store.ContactFilter, error) {
	c, err := callerOf(ctx)
	if err != nil || c.Role != chat.AgentRole {
		return c, store.ContactFilter{}, err
	}
	if c.AgentID == uuid.Nil {
		return c, store.ContactFilter{}, forbidden("Only agents and administrators see contacts.")
	}
	return c, store.ContactFilter{Agent: c.AgentID}, chatsOn(c)
}

func contactAnswer(k *store.KnownContact, crmState string) gen.Contact {
	a := gen.Contact{
		ID: k.ID, Name: k.Name, Phone: orNull(k.Phone), Email: orNull(k.Email), CreatedAt: k.CreatedAt.Time,
		Identities: []gen.Identity{}, Suggestions: []string{}, CRM: contactInCRM(&k.Contact, crmState),
	}
	for _, i := range k.Identities {
		a.Identities = append(a.Identities, gen.Identity{
			ID: i.ID, ChannelID: i.ChannelID, Kind: i.Kind, ExternalID: i.ExternalID, Name: orNull(i.Name), Username: orNull(i.Username),
			BlockedAt: i.BlockedAt.Ptr(),
		})
	}
	for _, id := range k.CRMCandidates {
		a.Suggestions = append(a.Suggestions, id.String())
	}
	return a
}

// contactInCRM is a contact's state in the CRM. One that the CRM had before us needs no push of ours.
func contactInCRM(c *store.Contact, crmState string) gen.CRMLink {
	link := gen.CRMLink{State: gen.CRMStatePending, Error: orNull(c.CRMError)}
	if c.CRMRef != uuid.Nil {
		ref := c.CRMRef.String()
		link.Ref = &ref
	}
	switch {
	case c.CRMError != "":
		link.State = gen.CRMStateRefused
	case c.CRMRef != uuid.Nil && (c.CRMPushed != "" || !c.CRMOwn):
		link.State = gen.CRMStatePushed
	case crmState == store.CRMUnavailable || crmState == store.CRMRefused:
		link.State = gen.CRMStatePaused
	}
	return link
}
