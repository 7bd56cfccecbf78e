package api

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/gofiber/fiber/v2"

	"waggle/api/gen"
)

//go:embed docs.css
var docsStyle string

//go:embed docs.html
var docsTemplate string

var docsPage = template.Must(template.New("docs").Parse(docsTemplate))

// mountDocs serves the contract as a page for people and as JSON for programs. The page is whole in itself: nothing is loaded from
// elsewhere, and no script runs. It is drawn once: the contract does not change while the process lives.
func (s *Server) mountDocs(app *fiber.App, spec *openapi3.T) {
	var page bytes.Buffer
	must(0, docsPage.Execute(&page, docsView{
		Title: spec.Info.Title, Description: spec.Info.Description, Style: template.CSS(docsStyle), Sections: docsSections(spec, s.Options.PublicURL),
	}))
	contract := must(gen.GetSpecJSON())
	style := sha256.Sum256([]byte(docsStyle))
	policy := "default-src 'none'; frame-ancestors 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(style[:]) + "'"
	app.Get("/docs", func(c *fiber.Ctx) error {
		c.Set(fiber.HeaderContentSecurityPolicy, policy)
		c.Set(fiber.HeaderContentType, fiber.MIMETextHTMLCharsetUTF8)
		return c.Send(page.Bytes())
	})
	app.Get("/docs/openapi.json", func(c *fiber.Ctx) error {
		c.Set(fiber.HeaderContentType, fiber.MIMEApplicationJSON)
		return c.Send(contract)
	})
}
