package api

import (
	"context"

	"waggle/api/gen"
)

// unimplemented answers 501 to every operation that has no handler yet.
type unimplemented struct{}

func (unimplemented) ListAgentGroups(context.Context, gen.ListAgentGroupsRequestObject) (gen.ListAgentGroupsResponseObject, error) {
	return nil, errNotImplemented
}

func (unimplemented) CreateAgentGroup(context.Context, gen.CreateAgentGroupRequestObject) (gen.CreateAgentGroupResponseObject, error) {
	return nil, errNotImplemented
}

func (unimplemented) DeleteAgentGroup(context.Context, gen.DeleteAgentGroupRequestObject) (gen.DeleteAgentGroupResponseObject, error) {
	return nil, errNotImplemented
}

func (unimplemented) GetAgentGroup(context.Context, gen.GetAgentGroupRequestObject) (gen.GetAgentGroupResponseObject, error) {
	return nil, errNotImplemented
}

func (unimplemented) PatchAgentGroup(context.Context, gen.PatchAgentGroupRequestObject) (gen.PatchAgentGroupResponseObject, error) {
	return nil, errNotImplemented
}

func (unimplemented) ListAgents(context.Context, gen.ListAgentsRequestObject) (gen.ListAgentsResponseObject, error) {
	return nil, errNotImplemented
}

func (unimplemented) CreateAgent(context.Context, gen.CreateAgentRequestObject) (gen.CreateAgentResponseObject, error) {
	return nil, errNotImplemented
}

func (unimplemented) DeleteAgent(context.Context, gen.DeleteAgentRequestObject) (gen.DeleteAgentResponseObject, error) {
	return nil, errNotImplemented
}

func (unimplemented) GetAgent(context.Context, gen.GetAgentRequestObject) (gen.GetAgentResponseObject, error) {
	return nil, errNotImplemented
}

func (unimplemented) PatchAgent(context.Context, gen.PatchAgentRequestObject) (gen.PatchAgentResponseObject, error) {
	return nil, errNotImplemented
}

func (unimplemented) HeartbeatAgent(context.Context, gen.HeartbeatAgentRequestObject) (gen.HeartbeatAgentResponseObject, error) {
	return nil, errNotImplemented
}

func (unimplemented) PatchAgentStatus(context.Context, gen.PatchAgentStatusRequestObject) (gen.PatchAgentStatusResponseObject, error) {
	return nil, errNotImplemented
}

func (unimplemented) ListChannelKinds(context.Context, gen.ListChannelKindsRequestObject) (gen.ListChannelKindsResponseObject, error) {
	return nil, errNotImplemented
}

func (unimplemented) ListChannels(context.Context, gen.ListChannelsRequestObject) (gen.ListChannelsResponseObject, error) {
	return nil, errNotImplemented
}

func (unimplemented) CreateChannel(context.Context, gen.CreateChannelRequestObject) (gen.CreateChannelResponseObject, error) {
	return nil, errNotImplemented
}

func (unimplemented) DeleteChannel(context.Context, gen.DeleteChannelRequestObject) (gen.DeleteChannelResponseObject, error) {
	return nil, errNotImplemented
}

func (unimplemented) GetChannel(context.Context, gen.GetChannelRequestObject) (gen.GetChannelResponseObject, error) {
	return nil, errNotImplemented
}

func (unimplemented) PatchChannel(context.Context, gen.PatchChannelRequestObject) (gen.PatchChannelResponseObject, error) {
	return nil, errNotImplemented
}

func (unimplemented) ConnectChannel(context.Context, gen.ConnectChannelRequestObject) (gen.ConnectChannelResponseObject, error) {
	return nil, errNotImplemented
}

func (unimplemented) DisconnectChannel(context.Context, gen.DisconnectChannelRequestObject) (gen.DisconnectChannelResponseObject, error) {
	return nil, errNotImplemented
}

func (unimplemented) ListChats(context.Context, gen.ListChatsRequestObject) (gen.ListChatsResponseObject, error) {
	return nil, errNotImplemented
}

func (unimplemented) StartChat(context.Context, gen.StartChatRequestObject) (gen.StartChatResponseObject, error) {
	return nil, errNotImplemented
}

func (unimplemented) GetChat(context.Context, gen.GetChatRequestObject) (gen.GetChatResponseObject, error) {
	return nil, errNotImplemented
}

func (unimplemented) AcceptChat(context.Context, gen.AcceptChatRequestObject) (gen.AcceptChatResponseObject, error) {
	return nil, errNotImplemented
}

func (unimplemented) CloseChat(context.Context, gen.CloseChatRequestObject) (gen.CloseChatResponseObject, error) {
	return nil, errNotImplemented
}

func (unimplemented) HoldChat(context.Context, gen.HoldChatRequestObject) (gen.HoldChatResponseObject, error) {
	return nil, errNotImplemented
}

func (unimplemented) ListMessages(context.Context, gen.ListMessagesRequestObject) (gen.ListMessagesResponseObject, error) {
	return nil, errNotImplemented
}

func (unimplemented) SendMessage(context.Context, gen.SendMessageRequestObject) (gen.SendMessageResponseObject, error) {
	return nil, errNotImplemented
}

func (unimplemented) ResendMessage(context.Context, gen.ResendMessageRequestObject) (gen.ResendMessageResponseObject, error) {
	return nil, errNotImplemented
}

func (unimplemented) ReopenChat(context.Context, gen.ReopenChatRequestObject) (gen.ReopenChatResponseObject, error) {
	return nil, errNotImplemented
}

func (unimplemented) GetTimeline(context.Context, gen.GetTimelineRequestObject) (gen.GetTimelineResponseObject, error) {
	return nil, errNotImplemented
}

func (unimplemented) TransferChat(context.Context, gen.TransferChatRequestObject) (gen.TransferChatResponseObject, error) {
	return nil, errNotImplemented
}

func (unimplemented) UnholdChat(context.Context, gen.UnholdChatRequestObject) (gen.UnholdChatResponseObject, error) {
	return nil, errNotImplemented
}

func (unimplemented) GetConfiguration(context.Context, gen.GetConfigurationRequestObject) (gen.GetConfigurationResponseObject, error) {
	return nil, errNotImplemented
}

func (unimplemented) PatchConfiguration(context.Context, gen.PatchConfigurationRequestObject) (gen.PatchConfigurationResponseObject, error) {
	return nil, errNotImplemented
}

func (unimplemented) GenerateAPIKey(context.Context, gen.GenerateAPIKeyRequestObject) (gen.GenerateAPIKeyResponseObject, error) {
	return nil, errNotImplemented
}

func (unimplemented) Synchronize(context.Context, gen.SynchronizeRequestObject) (gen.SynchronizeResponseObject, error) {
	return nil, errNotImplemented
}

func (unimplemented) ListContacts(context.Context, gen.ListContactsRequestObject) (gen.ListContactsResponseObject, error) {
	return nil, errNotImplemented
}

func (unimplemented) GetContact(context.Context, gen.GetContactRequestObject) (gen.GetContactResponseObject, error) {
	return nil, errNotImplemented
}

func (unimplemented) ListFailures(context.Context, gen.ListFailuresRequestObject) (gen.ListFailuresResponseObject, error) {
	return nil, errNotImplemented
}

func (unimplemented) RedriveFailures(context.Context, gen.RedriveFailuresRequestObject) (gen.RedriveFailuresResponseObject, error) {
	return nil, errNotImplemented
}

func (unimplemented) DiscardFailure(context.Context, gen.DiscardFailureRequestObject) (gen.DiscardFailureResponseObject, error) {
	return nil, errNotImplemented
}

func (unimplemented) RedriveFailure(context.Context, gen.RedriveFailureRequestObject) (gen.RedriveFailureResponseObject, error) {
	return nil, errNotImplemented
}

func (unimplemented) ListJobs(context.Context, gen.ListJobsRequestObject) (gen.ListJobsResponseObject, error) {
	return nil, errNotImplemented
}

func (unimplemented) GetJob(context.Context, gen.GetJobRequestObject) (gen.GetJobResponseObject, error) {
	return nil, errNotImplemented
}

func (unimplemented) CancelJob(context.Context, gen.CancelJobRequestObject) (gen.CancelJobResponseObject, error) {
	return nil, errNotImplemented
}

func (unimplemented) ListProcesses(context.Context, gen.ListProcessesRequestObject) (gen.ListProcessesResponseObject, error) {
	return nil, errNotImplemented
}

func (unimplemented) GetProcess(context.Context, gen.GetProcessRequestObject) (gen.GetProcessResponseObject, error) {
	return nil, errNotImplemented
}

func (unimplemented) CancelProcess(context.Context, gen.CancelProcessRequestObject) (gen.CancelProcessResponseObject, error) {
	return nil, errNotImplemented
}

func (unimplemented) ListQueues(context.Context, gen.ListQueuesRequestObject) (gen.ListQueuesResponseObject, error) {
	return nil, errNotImplemented
}

func (unimplemented) CreateQueue(context.Context, gen.CreateQueueRequestObject) (gen.CreateQueueResponseObject, error) {
	return nil, errNotImplemented
}

func (unimplemented) DeleteQueue(context.Context, gen.DeleteQueueRequestObject) (gen.DeleteQueueResponseObject, error) {
	return nil, errNotImplemented
}

func (unimplemented) GetQueue(context.Context, gen.GetQueueRequestObject) (gen.GetQueueResponseObject, error) {
	return nil, errNotImplemented
}

func (unimplemented) PatchQueue(context.Context, gen.PatchQueueRequestObject) (gen.PatchQueueResponseObject, error) {
	return nil, errNotImplemented
}

func (unimplemented) CreateSession(context.Context, gen.CreateSessionRequestObject) (gen.CreateSessionResponseObject, error) {
	return nil, errNotImplemented
}

func (unimplemented) RevokeCurrentSession(context.Context, gen.RevokeCurrentSessionRequestObject) (gen.RevokeCurrentSessionResponseObject, error) {
	return nil, errNotImplemented
}

func (unimplemented) GetSettings(context.Context, gen.GetSettingsRequestObject) (gen.GetSettingsResponseObject, error) {
	return nil, errNotImplemented
}

func (unimplemented) PatchSettings(context.Context, gen.PatchSettingsRequestObject) (gen.PatchSettingsResponseObject, error) {
	return nil, errNotImplemented
}

func (unimplemented) RequestToken(context.Context, gen.RequestTokenRequestObject) (gen.RequestTokenResponseObject, error) {
	return nil, errNotImplemented
}

func (unimplemented) GetWizard(context.Context, gen.GetWizardRequestObject) (gen.GetWizardResponseObject, error) {
	return nil, errNotImplemented
}

func (unimplemented) PutWizardCredentials(context.Context, gen.PutWizardCredentialsRequestObject) (gen.PutWizardCredentialsResponseObject, error) {
	return nil, errNotImplemented
}

func (unimplemented) FinishWizard(context.Context, gen.FinishWizardRequestObject) (gen.FinishWizardResponseObject, error) {
	return nil, errNotImplemented
}

func (unimplemented) PutWizardWaitingPeriods(context.Context, gen.PutWizardWaitingPeriodsRequestObject) (gen.PutWizardWaitingPeriodsResponseObject, error) {
	return nil, errNotImplemented
}
