package chat

import (
	"errors"
	"fmt"
)

// The bounds of the waiting periods, in minutes. Only the client's period is raised to its minimum; the agent's is any
// whole number from 1 (b5).
const (
	MinClientMinutes = 5
	MinAgentMinutes  = 1
	MaxMinutes       = 525600 // a year
)

// Errors of a waiting period, in words for an administrator.
var (
	ErrMinutesMissing  = errors.New("fill in the minutes, or clear the checkbox")
	ErrMinutesNegative = errors.New("must be a whole number of minutes, not a negative one")
	ErrMinutesTooFew   = errors.New("must be at least 1 minute")
	ErrMinutesTooMany  = errors.New("must be at most 525600 minutes, a year")
)

// Period is one checkbox of the wizard's Step 2 with its minutes; nil where the field is empty.
type Period struct {
	On      bool
	Minutes *int
}

// ClientPeriod checks the waiting period for the client's response. 0 to 4 minutes are raised to 5 and said so, also while
// the checkbox is off (b25).
func ClientPeriod(p Period) (stored Period, raised bool, err error) {
	if p.Minutes != nil && *p.Minutes < 0 {
		return Period{}, false, ErrMinutesNegative
	}
	if err := checkMinutes(p); err != nil {
		return Period{}, false, err
	}
	if p.Minutes != nil && *p.Minutes < MinClientMinutes {
		minimum := MinClientMinutes
		return Period{On: p.On, Minutes: &minimum}, true, nil
	}
	return p, false, nil
}

// AgentPeriod checks the waiting period for the agent's response. Nothing is raised: the minimum of 5 is the client's alone.
func AgentPeriod(p Period) error {
	if p.Minutes != nil && *p.Minutes < MinAgentMinutes {
		return ErrMinutesTooFew
	}
	return checkMinutes(p)
}

func checkMinutes(p Period) error {
	switch {
	case p.On && p.Minutes == nil:
		return ErrMinutesMissing
	case p.Minutes != nil && *p.Minutes > MaxMinutes:
		return ErrMinutesTooMany
	default:
		return nil
	}
}

// DoneMessage is what the wizard says after Finish (S0.34).
const DoneMessage = "Done! Beesender is set up. You can proceed to adding channels and agents."

// Processes are the processes a Finish starts, in the order in which their prompts come.
var Processes = []ProcessName{SaveAfkChats, CloseOldChats}

// promptTexts are the product's own, letter by letter: the second has the singular "instance" (b30).
var promptTexts = map[ProcessName]string{
	SaveAfkChats:  "Number of process running instances “%s” found %d. Cancel them?",
	CloseOldChats: "Number of process running instance “%s” found %d. Cancel them?",
}

// Prompt is a window of the wizard's Step 3.
type Prompt struct {
	Process ProcessName
	Count   int
	Text    string
}

// Prompts returns the windows to answer before Finish, in order: one for each process of which instances run, none with 0.
func Prompts(running map[ProcessName]int) []Prompt {
	var prompts []Prompt
	for _, name := range Processes {
		if n := running[name]; n > 0 {
			prompts = append(prompts, Prompt{Process: name, Count: n, Text: fmt.Sprintf(promptTexts[name], name, n)})
		}
	}
	return prompts
}

// Answers says for which processes the windows were answered; true is Yes, cancel them.
type Answers map[ProcessName]bool

// Unanswered returns the prompts without an answer. Answers nobody asked for count for nothing (b29).
func Unanswered(prompts []Prompt, given Answers) []Prompt {
	var missing []Prompt
	for _, p := range prompts {
		if _, ok := given[p.Process]; !ok {
			missing = append(missing, p)
		}
	}
	return missing
}

// TransferConditions is what must hold for a chat to be transferred, for the left panel's help (S0.46 to S0.52).
var TransferConditions = []string{
	"The checkbox “Transfer chats without agent answer” is true.",
	"The field “Time for changing agent (minutes)” has a specified value.",
	"The channel is assigned to agents (all those to whom the chat can be transferred).",
	"Agents are online and not overloaded (the sum of the weights of the open chats that are on the agent is less than the value specified in the “Max load” field in the agent card).",
	"The last message sent was from a client.",
}
