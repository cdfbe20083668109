import { ChatGateway } from './chat.gateway';
import { HintsGateway } from './hints.gateway';
import { SessionGateway } from './session.gateway';

/** Whose methods handle the frames of devices. */
export const GATEWAYS = [SessionGateway, ChatGateway, HintsGateway] as const;
