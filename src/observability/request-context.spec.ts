import { AsyncLocalStorage } from 'node:async_hooks';
import type { AddressInfo } from 'node:net';
import { Controller, Get, Global, Module } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import type { NestExpressApplication } from '@nestjs/platform-express';
import { CONFIG } from '../config/config';
import { loadConfig } from '../config/load-config';
import { Metrics } from './metrics';
import { ObservabilityModule } from './observability.module';

@Controller('here')
class Here {
  @Get()
  here(): string {
    return 'here';
  }
}

const config = loadConfig({ LOG_LEVEL: 'silent', JWT_SECRET: 'x'.repeat(32) });

@Global()
@Module({ providers: [{ provide: CONFIG, useValue: config }], exports: [CONFIG] })
class Configuration {}

@Module({ imports: [Configuration, ObservabilityModule.of(new Metrics())], controllers: [Here] })
class App {}

describe('requests', () => {
  it('run in no AsyncLocalStorage, which would make every promise of the process dearer', async () => {
    const testing = await Test.createTestingModule({ imports: [App] }).compile();
    const app = testing.createNestApplication<NestExpressApplication>();
    await app.listen(0, '127.0.0.1');
    const entered = [
      jest.spyOn(AsyncLocalStorage.prototype, 'run'),
      jest.spyOn(AsyncLocalStorage.prototype, 'enterWith'),
    ];
    try {
      const { port } = app.getHttpServer().address() as AddressInfo;
      const answer = await fetch(`http://127.0.0.1:${port}/here`);
      expect(await answer.text()).toBe('here');
      for (const spy of entered) expect(spy).not.toHaveBeenCalled();
    } finally {
      for (const spy of entered) spy.mockRestore();
      await app.close();
    }
  });
});
