import { ParleyApi } from './api';

describe('REST by the SDK', () => {
  const answering = (status: number, text: string): ParleyApi => {
    jest.spyOn(globalThis, 'fetch').mockResolvedValue(new Response(text, { status }));
    return new ParleyApi({ url: 'http://127.0.0.1:1' });
  };
  const account = { username: 'ann', password: 'open sesame' };
  afterEach(() => {
    jest.restoreAllMocks();
  });

  it.each([
    [502, '<html><h1>502 Bad Gateway</h1></html>'],
    [503, ''],
    [504, '"late"'],
    [200, '<html>a captive portal</html>'],
  ])('takes %i with %j for a server that is away, and worth a retry', async (status, text) => {
    const login = answering(status, text).login(account);
    await expect(login).rejects.toMatchObject({ name: 'ParleyError', code: 'unavailable', retryable: true });
  });

  it('passes on a problem as it is', async () => {
    const problem = { code: 'unauthenticated', status: 401, retryable: false, detail: 'wrong' };
    await expect(answering(401, JSON.stringify(problem)).login(account)).rejects.toMatchObject({
      code: 'unauthenticated',
      retryable: false,
    });
  });
});
