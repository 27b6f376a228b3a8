-- Changes from elsewhere, merged into a table: what is new is inserted, what is known is updated, what is gone is deleted.
CREATE TABLE stock (item text NOT NULL, amount integer NOT NULL, price numeric(8, 2) NOT NULL);
INSERT INTO stock VALUES ('lamp', 4, 29.90), ('desk', 1, 189.00), ('chair', 8, 75.50);

CREATE TABLE deliveries (item text NOT NULL, amount integer, price numeric(8, 2));
INSERT INTO deliveries VALUES ('lamp', 10, 27.50), ('kettle', 5, 39.00), ('desk', NULL, NULL);

MERGE INTO stock USING deliveries ON stock.item = deliveries.item
    WHEN MATCHED AND deliveries.amount IS NULL THEN DELETE
    WHEN MATCHED THEN UPDATE SET amount = stock.amount + deliveries.amount, price = deliveries.price
    WHEN NOT MATCHED THEN INSERT (item, amount, price) VALUES (deliveries.item, deliveries.amount, deliveries.price);

SELECT * FROM stock ORDER BY item;
/* prints
item,amount,price
chair,8,75.50
kettle,5,39.00
lamp,14,27.50
*/
