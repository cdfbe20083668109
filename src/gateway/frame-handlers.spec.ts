import { UseFilters, UseGuards, UseInterceptors, UsePipes } from '@nestjs/common';
import { SubscribeMessage, WebSocketGateway } from '@nestjs/websockets';
import { frameHandlersOf } from './frame-handlers';

@WebSocketGateway()
class Plain {
  constructor(private readonly word: string) {}
  @SubscribeMessage('ping')
  ping(): { event: 'pong'; data: object } {
    return { event: 'pong', data: { word: this.word } };
  }
  helper(): string {
    return this.word;
  }
}

type Decorate = ClassDecorator & MethodDecorator;

describe('frameHandlersOf', () => {
  it('finds the methods that subscribe to a frame, and calls them on their gateway', () => {
    const handlers = frameHandlersOf(new Plain('hello'));
    expect([...handlers.keys()]).toEqual(['ping']);
    expect(handlers.get('ping')?.({})).toEqual({ event: 'pong', data: { word: 'hello' } });
  });

  it.each<[string, Decorate]>([
    ['@UseGuards', UseGuards({ canActivate: () => true })],
    ['@UsePipes', UsePipes({ transform: (value: unknown) => value })],
    ['@UseInterceptors', UseInterceptors({ intercept: (_context, next) => next.handle() })],
    ['@UseFilters', UseFilters({ catch: () => undefined })],
  ])('refuses %s, which a direct call would pass by', (name, decorate) => {
    @decorate
    class OnClass {
      @SubscribeMessage('ping')
      ping(): void {
        return;
      }
    }
    class OnMethod {
      @SubscribeMessage('ping')
      @decorate
      ping(): void {
        return;
      }
    }
    expect(() => frameHandlersOf(new OnClass())).toThrow(`${name} of OnClass would have no effect`);
    expect(() => frameHandlersOf(new OnMethod())).toThrow(`${name} of ping would have no effect`);
  });
});
