import {
  ANNA,
  BEN,
  directStarted,
  given,
  groupStarted,
  membership,
  settingsChanged,
  STRANGER,
} from '../../../test/support/given-conversation';
import { asFileId } from '../../kernel/ids';

const title = { type: 'ChangeConversation', by: ANNA, title: 'Tea' } as const;
const changed = { type: 'ConversationChanged', by: ANNA } as const;
const avatarFileId = asFileId('019aa000-0000-7000-8000-0000000000f1');

describe('changing a conversation', () => {
  it('records title, description and picture', () => {
    given(groupStarted())
      .when({ ...title, description: 'daily', avatarFileId })
      .then({ ...changed, title: 'Tea', description: 'daily', avatarFileId });
    const after = { ...changed, title: 'Tea', description: 'daily', avatarFileId };
    expect(given(groupStarted(), after).state()).toMatchObject({
      title: 'Tea',
      description: 'daily',
      avatarFileId,
    });
  });

  it('records only what differs, and nothing when nothing does', () => {
    given(groupStarted({ title: 'Tea' }))
      .when({ ...title, description: 'daily' })
      .then({ ...changed, description: 'daily' });
    given(groupStarted({ title: 'Tea' }))
      .when(title)
      .changesNothing();
    given(groupStarted()).when({ type: 'ChangeConversation', by: ANNA }).changesNothing();
  });

  it('changes the settings that are named and leaves the others', () => {
    given(groupStarted({ settings: { historyVisibility: 'shared' } }))
      .when({ type: 'ChangeConversation', by: ANNA, settings: { whoMayPost: 'admins' } })
      .then(settingsChanged({ whoMayPost: 'admins' }));
    const state = given(
      groupStarted({ settings: { historyVisibility: 'shared' } }),
      settingsChanged({ whoMayPost: 'admins' }),
    ).state();
    expect(state?.settings).toEqual({
      historyVisibility: 'shared',
      whoMayInvite: 'admins',
      whoMayPost: 'admins',
    });
  });

  it('turns disappearing on and, with 0, off', () => {
    const on = settingsChanged({ disappearAfterSeconds: 60 });
    const off = { type: 'ChangeConversation', by: ANNA, settings: { disappearAfterSeconds: 0 } } as const;
    given(groupStarted(), on)
      .when(off)
      .then(settingsChanged({ disappearAfterSeconds: 0 }));
    given(groupStarted()).when(off).changesNothing();
    const state = given(groupStarted(), on, settingsChanged({ disappearAfterSeconds: 0 })).state();
    expect(state?.settings).not.toHaveProperty('disappearAfterSeconds');
  });

  it('is for admins', () => {
    const command = { ...title, by: BEN };
    given(groupStarted()).when(command).refuses('forbidden');
    given(groupStarted(), membership(ANNA, BEN, 'roleChanged', 'admin'))
      .when(command)
      .then({ ...changed, by: BEN, title: 'Tea' });
  });

  it('is refused to strangers and where there is nothing', () => {
    given(groupStarted())
      .when({ ...title, by: STRANGER })
      .refuses('not_found');
    given().when(title).refuses('not_found');
  });

  it('leaves a direct conversation as it is, but for how long messages stay', () => {
    given(directStarted()).when(title).refuses('forbidden');
    given(directStarted())
      .when({ type: 'ChangeConversation', by: ANNA, settings: { whoMayPost: 'admins' } })
      .refuses('forbidden');
    given(directStarted())
      .when({ type: 'ChangeConversation', by: BEN, settings: { disappearAfterSeconds: 60 } })
      .then(settingsChanged({ disappearAfterSeconds: 60 }, BEN));
  });
});
