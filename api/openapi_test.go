package api

import (
	"math"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"

	"waggle/api/gen"
)

// contract loads openapi.yaml as it stands in the repository.
func contract(t *testing.T) *openapi3.T {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromFile("../openapi.yaml")
	require.NoError(t, err)
	return doc
}

// property finds a property of a component schema.
func property(t *testing.T, doc *openapi3.T, schema, name string) *openapi3.Schema {
	t.Helper()
	require.Contains(t, doc.Components.Schemas, schema)
	require.Contains(t, doc.Components.Schemas[schema].Value.Properties, name, schema)
	return doc.Components.Schemas[schema].Value.Properties[name].Value
}

// eachOperation calls check for every operation of the contract.
func eachOperation(doc *openapi3.T, check func(name string, op *openapi3.Operation)) {
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			check(method+" "+path, op)
		}
	}
}

func TestContractIsValid(t *testing.T) {
	loader := openapi3.NewLoader()
	require.NoError(t, contract(t).Validate(loader.Context))
}

// The generator copies what a path declares into its operations, so paths are compared by what they offer.
func TestEmbeddedContractIsThisOne(t *testing.T) {
	want := contract(t)
	got, err := gen.GetSpec()
	require.NoError(t, err)
	require.NoError(t, got.Validate(openapi3.NewLoader().Context))

	wantComponents, err := want.Components.MarshalJSON()
	require.NoError(t, err)
	gotComponents, err := got.Components.MarshalJSON()
	require.NoError(t, err)
	require.JSONEq(t, string(wantComponents), string(gotComponents), "run go generate ./api")
	require.Equal(t, descriptions(want), descriptions(got), "run go generate ./api")
}

// descriptions maps every operation to what it says of itself.
func descriptions(doc *openapi3.T) map[string]string {
	out := map[string]string{}
	eachOperation(doc, func(name string, op *openapi3.Operation) {
		out[name] = op.OperationID + ": " + op.Summary + "\n" + op.Description
	})
	return out
}

func TestEveryOperationIsDescribed(t *testing.T) {
	ids := map[string]string{}
	eachOperation(contract(t), func(name string, op *openapi3.Operation) {
		require.NotEmpty(t, op.OperationID, name)
		require.NotContains(t, ids, op.OperationID, "%s repeats an operationId", name)
		ids[op.OperationID] = name
		require.NotEmpty(t, op.Summary, name)
		require.NotEmpty(t, op.Description, name)
		require.Len(t, op.Tags, 1, name)
		if op.Tags[0] == "raw" {
			return
		}
		problem := op.Responses.Default()
		require.NotNil(t, problem, "%s has no problem answer", name)
		require.Contains(t, problem.Value.Content, "application/problem+json", name)
	})
}

func TestRequestBodiesRefuseUnknownProperties(t *testing.T) {
	eachOperation(contract(t), func(name string, op *openapi3.Operation) {
		if op.RequestBody == nil || op.Tags[0] == "hooks" || op.OperationID == "uploadFile" { // a body that is no JSON
			return
		}
		schema := op.RequestBody.Value.Content.Get("application/json").Schema.Value
		has := schema.AdditionalProperties.Has
		require.True(t, has != nil && !*has, "%s lets unknown properties pass", name)
	})
}

// Who goes by the letter of OpenAPI takes a null only where it stands beside the type, and for one of an enumeration's values
// only if it is among them: so nothing nullable refers to what is not.
func TestWhatMayBeNullSaysItByTheLetter(t *testing.T) {
	for name, schema := range contract(t).Components.Schemas {
		for property, p := range schema.Value.Properties {
			if !p.Value.Nullable {
				continue
			}
			require.NotNil(t, p.Value.Type, "%s.%s", name, property)
			require.Empty(t, p.Value.AllOf, "%s.%s", name, property)
			if p.Value.Enum != nil {
				require.Contains(t, p.Value.Enum, nil, "%s.%s", name, property)
			}
		}
	}
}

// The database's numbers end at 31 bits: what is larger must be a 422, not a 500.
func TestNumbersOfRequestsFitTheDatabase(t *testing.T) {
	var fits func(name string, s *openapi3.Schema)
	fits = func(name string, s *openapi3.Schema) {
		if s.Type != nil && s.Type.Is("integer") {
			require.NotNil(t, s.Max, "%s has no maximum", name)
			require.LessOrEqual(t, *s.Max, float64(math.MaxInt32), name)
		}
		for property, p := range s.Properties {
			fits(name+"."+property, p.Value)
		}
	}
	eachOperation(contract(t), func(name string, op *openapi3.Operation) {
		if schema := jsonSchema(op.RequestBody); schema != nil {
			fits(name, schema)
		}
	})
}

func TestS0_55_CaptionsAreTheProducts(t *testing.T) {
	doc := contract(t)
	for _, tc := range []struct{ schema, property, caption string }{
		{"WizardCredentialsInput", "secret_key", "Secret key"},
		{"WizardCredentialsInput", "api_key", "API Key"},
		{"WizardCredentialsInput", "generate_api_key", "Generate an API Key"},
		{"WizardCredentialsInput", "login", "Login"},
		{"WizardCredentialsInput", "password", "Password"},
		{"TokenRequest", "company_name", "Company name"},
		{"TokenRequest", "phone_number", "Phone number"},
		{"TokenRequest", "email", "Email"},
		{"WaitingPeriodsInput", "client", "Set the waiting period for the client's response, min."},
		{"WaitingPeriodsInput", "agent", "Set the waiting period for agent response, min."},
		{"Configuration", "name", "Name"},
		{"Configuration", "login", "Login"},
		{"ConfigurationPatch", "login", "Login"},
		{"ConfigurationPatch", "password", "Password"},
		{"Configuration", "close_chats_without_messages", "Close chats without messages"},
		{"ConfigurationPatch", "close_chats_without_messages", "Close chats without messages"},
		{"Configuration", "close_chats_minutes", "Time for closing chat after last message (minutes)"},
		{"ConfigurationPatch", "close_chats_minutes", "Time for closing chat after last message (minutes)"},
		{"Configuration", "transfer_chats_without_agent_answer", "Transfer chats without agent answer"},
		{"ConfigurationPatch", "transfer_chats_without_agent_answer", "Transfer chats without agent answer"},
		{"Configuration", "change_agent_minutes", "Time for changing agent (minutes)"},
		{"ConfigurationPatch", "change_agent_minutes", "Time for changing agent (minutes)"},
		{"Agent", "max_load", "Max load"},
		{"Queue", "name", "Name"},
		{"Queue", "completion_timeout_minutes", "Chat completion timeout"},
	} {
		t.Run(tc.schema+"."+tc.property, func(t *testing.T) {
			require.Equal(t, tc.caption, property(t, doc, tc.schema, tc.property).Title)
		})
	}
	require.Equal(t, "Token request", doc.Components.Schemas["TokenRequest"].Value.Title)
	require.Equal(t, "Token request", doc.Paths.Find("/token-requests").Post.Summary)
	require.Equal(t, "Synchronize", doc.Paths.Find("/configuration/synchronize").Post.Summary)
}

func TestS0_16_APIKeyIsRecommendedWithTheReason(t *testing.T) {
	doc := contract(t)
	for _, name := range []string{"api_key", "generate_api_key"} {
		p := property(t, doc, "WizardCredentialsInput", name)
		require.Equal(t, true, p.Extensions["x-recommended"], name)
		require.Contains(t, p.Description, "Recommended", name)
		require.Contains(t, p.Description, "enhanced security", name)
		require.False(t, p.Deprecated, name)
	}
}

func TestS0_17_LoginIsDeprecated(t *testing.T) {
	doc := contract(t)
	for _, name := range []string{"login", "password"} {
		p := property(t, doc, "WizardCredentialsInput", name)
		require.True(t, p.Deprecated, name)
		require.Contains(t, p.Description, "future versions", name)
	}
	require.Contains(t, doc.Paths.Find("/wizard/credentials").Put.Responses.Status(200).Value.Headers, "Deprecation")
}

func TestNameIsReadOnly(t *testing.T) {
	doc := contract(t)
	require.True(t, property(t, doc, "Configuration", "name").ReadOnly)
	require.NotContains(t, doc.Components.Schemas["ConfigurationPatch"].Value.Properties, "name")
}

func TestRoutingRulesAreTheTwoOfCreatio(t *testing.T) {
	rule := contract(t).Components.Schemas["RoutingRule"].Value
	require.Equal(t, []any{"to_all_agents", "to_an_available_agent"}, rule.Enum)
	require.Equal(t, map[string]any{
		"to_all_agents":         "To all agents",
		"to_an_available_agent": "To an available agent",
	}, rule.Extensions["x-enum-titles"])
}

func TestChannelStatesAreSpelledOut(t *testing.T) {
	require.Equal(t, []any{"Inactive", "Active", "Disconnected"}, contract(t).Components.Schemas["ChannelState"].Value.Enum)
}

// Only hooks, operations and the token request may be called without a key.
func TestOnlyTheTokenRequestNeedsNoKey(t *testing.T) {
	eachOperation(contract(t), func(name string, op *openapi3.Operation) {
		open := op.Security != nil && len(*op.Security) == 0
		path := strings.Fields(name)[1]
		outside := op.Tags[0] == "hooks" || (op.Tags[0] == "raw" && path != "/events" && !strings.HasPrefix(path, "/media") && !strings.HasPrefix(path, "/chats"))
		require.Equal(t, outside || name == "POST /token-requests", open, name)
	})
}
