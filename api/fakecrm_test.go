package api

import (
	"context"

	"waggle/crm"
)

// fakeCRM knows one administrator, one other user and one OAuth client. Only Check is called by the façade.
type fakeCRM struct {
	crm.Adapter

	down   bool
	checks []crm.Connection
}

func (*fakeCRM) Kind() string { return "creatio" }

func (f *fakeCRM) Check(_ context.Context, c crm.Connection) (crm.Site, error) {
	f.checks = append(f.checks, c)
	site := crm.Site{Prefix: "/0", Version: "8.1.5"}
	switch {
	case f.down:
		return crm.Site{}, &crm.Error{Cause: crm.Unavailable, Reason: "the CRM did not answer in time"}
	case c.Login == "Supervisor" && c.Password == adminPassword:
		site.Administrator = true
	case c.Login == "Mary" && c.Password == maryPassword:
	case c.Auth == crm.OAuth && c.ClientSecret == clientSecret:
		site.Administrator = true
	default:
		return crm.Site{}, &crm.Error{Cause: crm.Refused, Reason: "the user name or password is wrong"}
	}
	return site, nil
}

const (
	adminPassword = "Adm1n-s3cret"
	maryPassword  = "M4ry-s3cret"
	clientSecret  = "Cl1ent-s3cret"
)

// withCRM gives the façade a CRM.
func withCRM(f *fakeCRM) func(*Server) {
	return func(s *Server) { s.CRMs[f.Kind()] = f }
}
