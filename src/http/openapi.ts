import type { INestApplication } from '@nestjs/common';
import { DocumentBuilder, SwaggerModule, type OpenAPIObject } from '@nestjs/swagger';
import { PATH_PARAMETERS, REST_SCHEMAS } from '../protocol/rest';

export const DOCS_PATH = 'api/docs';
export const OPENAPI_PATH = 'api/openapi.json';

type Components = NonNullable<OpenAPIObject['components']>;

/** The OpenAPI 3.1 document of all routes, bodies and answers. Dialect of the schemas: JSON Schema 2020-12. */
export function openApiDocument(app: INestApplication): OpenAPIObject {
  const base = new DocumentBuilder()
    .setTitle('Parley')
    .setDescription('Chat over an event log. Live frames: /ws, described in /api/asyncapi.json.')
    .setVersion('1')
    .addBearerAuth({ type: 'http', scheme: 'bearer', bearerFormat: 'JWT' })
    .setOpenAPIVersion('3.1.0')
    .build();
  const document = SwaggerModule.createDocument(app, base, { autoTagControllers: true });
  for (const [path, item] of Object.entries(document.paths)) describePathParameters(path, item);
  // Through JSON: TypeBox marks its schemas with symbols, which are none of the document's business.
  const schemas = JSON.parse(JSON.stringify(REST_SCHEMAS)) as Components['schemas'];
  return { ...document, components: { ...document.components, schemas: { ...schemas } } };
}

/** Our parameter decorators are unknown to Nest's explorer; the path itself names what it takes. */
function describePathParameters(path: string, item: object): void {
  const names = Array.from(path.matchAll(/\{([^}]+)\}/g), (match) => match[1] ?? '');
  for (const operation of Object.values(item) as { parameters?: object[] }[]) {
    const others = (operation.parameters ?? []).filter(
      (parameter) => !('in' in parameter && parameter.in === 'path'),
    );
    const own = names.map((name) => ({
      name,
      in: 'path',
      required: true,
      schema: JSON.parse(JSON.stringify(PATH_PARAMETERS[name] ?? { type: 'string' })) as object,
    }));
    operation.parameters = [...own, ...others];
  }
}

/** Swagger UI and the document itself; made at the first request for it, then kept. */
export function setUpDocuments(app: INestApplication): void {
  SwaggerModule.setup(DOCS_PATH, app, () => openApiDocument(app), {
    jsonDocumentUrl: OPENAPI_PATH,
    raw: ['json'],
    customSiteTitle: 'Parley API',
  });
}
